"""Failed batches are remembered with their traceback, and with it every frame's tensors."""
import sys

import torch
from torch import nn

failures = []


def forward(net, batch, number):
    hidden = net(batch)
    if number >= 0:
        raise ValueError(f"bad label in batch {number}")
    return hidden


def main():
    net = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for number in range(36):
        batch = torch.randn(32, 64, device="cuda")
        try:
            forward(net, batch, number).mean().backward()
        except ValueError:
            failures.append(sys.exc_info())  # <- history-accumulation: failures
        optimizer.zero_grad()
        optimizer.step()


main()
