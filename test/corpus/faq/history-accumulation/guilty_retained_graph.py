"""retain_graph=True to silence an error: the sum of all losses so far is differentiated in every step."""
import torch
from torch import nn


def main():
    net = nn.Linear(32, 1).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    running = torch.zeros((), device="cuda")
    for _ in range(24):
        running = running + net(torch.randn(16, 32, device="cuda")).mean()  # <- history-accumulation: running
        optimizer.zero_grad()
        running.backward(retain_graph=True)
        for parameter in net.parameters():
            parameter.grad = parameter.grad.clone()
        optimizer.step()


main()
