"""Losses kept in a local list of a function, to be averaged at the end."""
import torch
from torch import nn


def train(steps):
    model = nn.Linear(32, 8).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    losses = []
    for _ in range(steps):
        out = model(torch.randn(16, 32, device="cuda"))
        loss = out.abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)  # <- history-accumulation: losses
    return len(losses)


print(train(30))
