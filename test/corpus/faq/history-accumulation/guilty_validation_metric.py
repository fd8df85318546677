"""Validation that forgets no_grad and gathers the outputs of all epochs in a metric object."""
import torch
from torch import nn


class Metric:
    def __init__(self):
        self.predictions = []

    def update(self, outputs):
        self.predictions.append(outputs)  # <- history-accumulation: predictions

    def compute(self):
        return torch.cat(self.predictions).mean()


def main():
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    metric = Metric()
    for epoch in range(8):
        for _ in range(4):
            loss = net(torch.randn(16, 32, device="cuda")).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for _ in range(3):
            metric.update(net(torch.randn(16, 32, device="cuda")))
        value = metric.compute().item()
    return value


main()
