"""An inner loop of several updates that stays differentiable, as in meta-learning: one graph over many inner steps."""
import torch
from torch import nn


def main():
    net = nn.Linear(32, 1).cuda()
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(12):
        weight, bias = net.weight, net.bias
        for _ in range(6):
            loss = nn.functional.linear(torch.randn(8, 32, device="cuda"), weight, bias).pow(2).mean()
            first, second = torch.autograd.grad(loss, (weight, bias), create_graph=True)
            weight, bias = weight - 0.1 * first, bias - 0.1 * second
        outer = nn.functional.linear(torch.randn(8, 32, device="cuda"), weight, bias).pow(2).mean()
        optimizer.zero_grad()
        outer.backward()
        optimizer.step()


main()
