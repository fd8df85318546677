"""nn.LSTM over a sequence of 400 steps, inside a model class."""
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 64)
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        out, state = self.lstm(x)  # <- long-bptt: -
        return self.head(out[-1])


model = Tagger().cuda()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    loss = model(torch.randn(400, 64, 32, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
