"""A hand-made cache keyed by step, in a default argument."""
import torch
from torch import nn


def encode(step, batch, memory={}):
    if step not in memory:
        memory[step] = batch * 2  # <- growing-site: memory
    return memory[step]


model = nn.Linear(64, 1).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(24):
    loss = model(encode(step, torch.randn(16, 64, device="cuda"))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
