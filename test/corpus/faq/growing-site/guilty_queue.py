"""A queue for a writer that was never started."""
import queue

import torch
from torch import nn

results = queue.Queue()


def train(steps):
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        output = model(torch.randn(32, 64, device="cuda"))
        optimizer.zero_grad()
        output.mean().backward()
        optimizer.step()
        results.put(output.detach())  # <- growing-site: results


train(24)
