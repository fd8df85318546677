"""Features of a frozen backbone stay in a local while the decoder runs."""
import torch
from torch import nn


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(256, 4096)
        self.neck = nn.Linear(4096, 64)
        self.decoder = nn.Sequential(*[nn.Linear(64, 64) for _ in range(4)])

    def forward(self, images):
        with torch.no_grad():
            features = self.backbone(images)  # <- dead-local: features
            reduced = self.neck(features)
            upsampled = reduced.repeat(64, 1)
        return self.decoder(upsampled)


model = Segmenter().cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(6):
    loss = model(torch.randn(2048, 256, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
