"""Generators that are never closed: each keeps its locals."""
import torch
from torch import nn


def windows(batch):
    features = batch * 0.5
    for start in range(0, 64, 8):
        yield features[start:start + 8]


def main():
    readers = []
    model = nn.Linear(64, 8).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(24):
        reader = windows(torch.randn(64, 64, device="cuda"))
        readers.append(reader)  # <- growing-site: readers
        loss = model(next(reader)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
