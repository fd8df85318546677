"""Losses of an epoch with their graphs, dropped at the end of each short epoch."""
import torch
from torch import nn


def main():
    model = nn.Linear(32, 8).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    means = []
    for epoch in range(8):
        losses = []
        for _ in range(4):
            loss = model(torch.randn(16, 32, device="cuda")).abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        means.append(sum(float(value) for value in losses) / len(losses))


main()
