"""The last few losses, graphs included, in a window that stays small."""
from collections import deque

import torch
from torch import nn


def train():
    model = nn.Linear(32, 8).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    recent, tail = deque(maxlen=6), []
    for _ in range(40):
        loss = model(torch.randn(16, 32, device="cuda")).abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recent.append(loss)
        tail.append(loss)
        del tail[:-6]


train()
