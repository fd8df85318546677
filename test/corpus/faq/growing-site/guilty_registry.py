"""Every sample registers itself in a list of its class."""
import torch
from torch import nn


class Sample:
    every = []

    def __init__(self):
        self.image = torch.randn(3, 32, 32, device="cuda")
        Sample.every.append(self)  # <- growing-site: every


model = nn.Linear(3 * 32 * 32, 4).cuda()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(24):
    loss = model(Sample().image.flatten()).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
