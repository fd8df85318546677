"""A generator that smooths the losses which it yields."""
import torch
from torch import nn


def steps(model, optimizer, count):
    smooth = None
    for _ in range(count):
        loss = model(torch.randn(16, 32, device="cuda")).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth = loss if smooth is None else 0.9 * smooth + 0.1 * loss  # <- history-accumulation: smooth
        yield smooth


model = nn.Linear(32, 2).cuda()
for value in steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 24):
    pass
