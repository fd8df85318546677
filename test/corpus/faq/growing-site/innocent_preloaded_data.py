"""The whole data set on the device before training starts."""
import torch
from torch import nn


def main():
    data = [torch.randn(64, 256).cuda() for _ in range(40)]
    model = nn.Linear(256, 8).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in data:
        loss = model(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
