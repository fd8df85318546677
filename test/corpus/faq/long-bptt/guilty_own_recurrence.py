"""A recurrence written by hand, states kept in a list for attention."""
import torch
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.mix = nn.Linear(size, size)

    def forward(self, x, length):
        states = []
        for _ in range(length):
            x = torch.tanh(self.mix(x))  # <- long-bptt: -
            states.append(x)
        return torch.stack(states).mean()


def main():
    model = Recurrent(128).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        loss = model(torch.randn(64, 128, device="cuda"), 300)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
