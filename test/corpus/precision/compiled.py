"""A compiled model and training step (eager backend)."""
import torch
from torch import nn

model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
compiled = torch.compile(model, backend="eager")


@torch.compile(backend="eager")
def step(x):
    loss = compiled(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


for _ in range(16):
    value = step(torch.randn(8, 32, device="cuda"))

