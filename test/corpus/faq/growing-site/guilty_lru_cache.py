"""functools.lru_cache on a function that returns tensors: the key is new at every step."""
import functools

import torch
from torch import nn


@functools.lru_cache(maxsize=None)
def position_mask(step):  # <- growing-site: position_mask
    return torch.full((64, 256), float(step), device="cuda")


model = nn.Linear(256, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(24):
    loss = model(position_mask(step)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
