"""A graph network whose hidden layer is its own matter."""
import torch
import torch.nn as nn


class Sample:
    def __init__(self):
        self.x = torch.randn(512, 64, device="cuda")
        self.y = torch.randint(0, 7, (512,), device="cuda")


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 128), nn.Linear(128, 7)

    def forward(self, sample):
        hidden = self.first(sample.x).relu()
        return self.second(hidden)


def train(samples):
    network = Network().cuda()
    optimizer = torch.optim.Adam(network.parameters())
    for sample in samples:
        loss = nn.functional.cross_entropy(network(sample), sample.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main():
    samples = [Sample() for _ in range(120)]
    train(samples)


main()
