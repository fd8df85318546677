"""A large layer, but activations are what fills the device."""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(4096, 4096)

    def forward(self, x):
        return torch.sigmoid(torch.relu(self.wide(x)))


def main():
    model = Net().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        loss = model(torch.zeros(16384, 4096, device="cuda")).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
