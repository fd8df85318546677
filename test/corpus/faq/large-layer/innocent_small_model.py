"""One layer holds most of a model that is small."""
import torch
from torch import nn


def main():
    model = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 10)).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        loss = model(torch.randn(64, 784, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
