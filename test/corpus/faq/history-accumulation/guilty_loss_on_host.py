"""The loss is moved to the host before it is kept, and takes its graph along."""
import torch
from torch import nn


class History:
    def __init__(self):
        self.total, self.losses = 0.0, []

    def record(self, loss):
        self.losses.append(loss)  # <- history-accumulation: losses


def main():
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
    optimizer = torch.optim.Adam(net.parameters())
    history = History()
    for _ in range(30):
        loss = net(torch.randn(16, 32, device="cuda")).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.record(loss.cpu())
    return history


main()
