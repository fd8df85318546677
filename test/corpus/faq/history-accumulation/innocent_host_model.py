"""A second model on the host keeps its own graphs for a while; the GPU's model keeps nothing."""
import torch
from torch import nn


def main():
    net, small = nn.Linear(64, 8).cuda(), nn.Linear(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scores, losses = [], []
    for _ in range(40):
        output = net(torch.randn(16, 64, device="cuda"))
        loss = output.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scores.append(small(output.detach().cpu()).mean())
        losses.append(loss.detach().cpu())
    torch.stack(scores).mean().backward()


main()
