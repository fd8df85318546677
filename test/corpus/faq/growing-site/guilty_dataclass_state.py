"""The state of a training in a dataclass; its history keeps predictions on the device."""
from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class State:
    step: int = 0
    history: list = field(default_factory=list)


def training_step(state, net, optimizer):
    prediction = net(torch.randn(64, 32, device="cuda"))
    loss = prediction.pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    state.step += 1
    state.history.append(prediction.detach())  # <- growing-site: history


state = State()
net = nn.Linear(32, 256).cuda()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
while state.step < 40:
    training_step(state, net, optimizer)
