"""A module keeps prototypes in a registered buffer, which is made longer with every batch."""
import torch
import torch.nn as nn


class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(512, 512)
        self.register_buffer("seen", torch.empty(0, 512))

    def forward(self, x):
        code = self.encoder(x)
        self.seen = torch.cat([self.seen, code])[-256:].clone()
        return code @ self.seen.T


model = Prototypes().cuda()
with torch.no_grad():
    for batch in range(120):
        model(torch.randn(64, 512, device="cuda")).mean()
print(torch.cuda.memory_allocated() >> 20, "MiB")
