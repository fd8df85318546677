"""Truncated backpropagation: 35 steps, then detach."""
import torch
from torch import nn


def train(length):
    cell = nn.LSTMCell(64, 64).cuda()
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    h = c = torch.zeros(256, 64, device="cuda")
    for start in range(0, length, 35):
        for t in range(35):
            h, c = cell(torch.ones(256, 64, device="cuda"), (h, c))
        loss = h.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        h, c = h.detach(), c.detach()


train(350)
