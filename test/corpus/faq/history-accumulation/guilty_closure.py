"""A meter made of a closure with a nonlocal total."""
import torch
from torch import nn


def make_meter():
    total = 0

    def add(value):
        nonlocal total
        total = total + value  # <- history-accumulation: total

    return add


def main():
    model = nn.Linear(32, 2).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    meter = make_meter()
    for _ in range(20):
        loss = model(torch.randn(16, 32, device="cuda")).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter(loss)


main()
