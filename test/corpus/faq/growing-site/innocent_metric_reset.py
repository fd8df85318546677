"""A metric object that gathers the outputs of an epoch under no_grad and is reset after it."""
import torch
from torch import nn


class Metric:
    def __init__(self):
        self.predictions = []

    def update(self, outputs):
        self.predictions.append(outputs)

    def compute(self):
        return torch.cat(self.predictions).mean()

    def reset(self):
        self.predictions = []


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
        with torch.inference_mode():
            for _ in range(12):
                metric.update(net(torch.randn(16, 32, device="cuda")))
        metric.compute().item()
        metric.reset()


main()
