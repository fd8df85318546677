"""A running sum on the device, detached."""
import torch
from torch import nn


def train():
    model = nn.Linear(32, 8).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    total = torch.zeros((), device="cuda")
    for _ in range(24):
        loss = model(torch.randn(16, 32, device="cuda")).abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total


train()
