"""A recurrent state that is carried over the steps without detach()."""
import torch
from torch import nn


def train():
    cell = nn.GRUCell(16, 32).cuda()
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.0)
    hidden = torch.zeros(4, 32, device="cuda")
    for _ in range(20):
        hidden = cell(torch.randn(4, 16, device="cuda"), hidden)  # <- history-accumulation: hidden
        loss = hidden.sum()
        optimizer.zero_grad()
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    return loss.shape


train()
