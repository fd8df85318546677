"""Statistics in a dict of running sums."""
import torch
from torch import nn


def main():
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    stats = {"loss": 0.0, "steps": 0}
    for step in range(26):
        loss = model(torch.randn(4, 64, device="cuda")).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        stats["loss"] += loss  # <- history-accumulation: stats['loss']
        stats["steps"] += 1
    return stats["steps"]


print(main())
