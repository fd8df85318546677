"""A replay buffer that drops its oldest entry by hand."""
import torch
from torch import nn


class Replay:
    def __init__(self, size):
        self.size, self.entries = size, []

    def add(self, entry):
        self.entries.append(entry)
        if len(self.entries) > self.size:
            self.entries.pop(0)


def main():
    replay = Replay(10)
    model = nn.Linear(64, 1).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(48):
        replay.add(torch.randn(16, 64, device="cuda"))
        loss = model(replay.entries[0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
