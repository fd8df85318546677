"""A network that gets a layer more every few steps: progressive growing. The layers are meant to stay."""
import torch
from torch import nn


def main():
    net = nn.Sequential(nn.Linear(64, 64)).cuda()
    for stage in range(6):
        optimizer = torch.optim.Adam(net.parameters())
        for _ in range(6):
            loss = net(torch.randn(16, 64, device="cuda")).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.append(nn.Linear(64, 64).cuda())


main()
