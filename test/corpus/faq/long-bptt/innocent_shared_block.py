"""A block that is applied 12 times with the same weights, as in ALBERT."""
import torch
from torch import nn


def main():
    block = nn.Sequential(nn.Linear(128, 128), nn.ReLU()).cuda()
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(256, 128, device="cuda")
        for _ in range(12):
            x = block(x)
        optimizer.zero_grad()
        x.mean().backward()
        optimizer.step()


main()
