"""Copies of model and optimizer for a rollback, the last two of them; an average of the weights; the best model."""
import collections
import copy

import torch
from torch import nn


def main():
    net = nn.Linear(128, 128).cuda()
    average = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.Adam(net.parameters())
    states, best = collections.OrderedDict(), None
    for step in range(40):
        loss = net(torch.randn(8, 128, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), net.parameters()):
                mine.lerp_(theirs, 0.01)
        states[step] = copy.deepcopy(optimizer.state_dict())
        if len(states) > 2:
            states.popitem(last=False)
        if step % 10 == 0:
            best = copy.deepcopy(net.state_dict())
    return best


main()
