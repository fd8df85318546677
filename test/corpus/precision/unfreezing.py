"""Layers are unfrozen one after the other; the optimizer makes its state for each when it is first stepped."""
import torch
from torch import nn

network = nn.Sequential(*[nn.Linear(512, 512) for _ in range(12)]).cuda().requires_grad_(False)
optimizer = torch.optim.Adam(network.parameters())
for stage in range(12):
    network[11 - stage].requires_grad_(True)
    for step in range(4):
        loss = network(torch.randn(32, 512, device="cuda")).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
