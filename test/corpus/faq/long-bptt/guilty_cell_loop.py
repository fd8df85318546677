"""An LSTM cell unrolled over 400 steps before one backward."""
import torch
from torch import nn


def train(length):
    cell = nn.LSTMCell(64, 64).cuda()
    head = nn.Linear(64, 1).cuda()
    optimizer = torch.optim.SGD(list(cell.parameters()) + list(head.parameters()), lr=0.1)
    for _ in range(2):
        h = c = torch.zeros(256, 64, device="cuda")
        for t in range(length):
            h, c = cell(torch.ones(256, 64, device="cuda"), (h, c))  # <- long-bptt: -
        loss = head(h).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train(400)
