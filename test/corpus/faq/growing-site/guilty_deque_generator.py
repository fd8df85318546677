"""An unbounded deque that belongs to a generator."""
from collections import deque

import torch
from torch import nn


def batches(count):
    recent = deque()
    for _ in range(count):
        batch = torch.randn(16, 64, device="cuda")
        recent.append(batch)  # <- growing-site: recent
        yield batch


model = nn.Linear(64, 1).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for batch in batches(24):
    loss = model(batch).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
