"""A copy of the optimizer's state after every step, "for a rollback"."""
import copy

import torch
from torch import nn


class Rollback:
    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.states = {}

    def save(self, step):
        self.states[step] = copy.deepcopy(self.optimizer.state_dict())  # <- growing-site: states


def main():
    net = nn.Linear(128, 128).cuda()
    optimizer = torch.optim.Adam(net.parameters())
    rollback = Rollback(optimizer)
    for step in range(24):
        loss = net(torch.randn(8, 128, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rollback.save(step)


main()
