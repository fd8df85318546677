"""functools.lru_cache on a method that makes masks: every length of a batch stays on the device."""
import functools

import torch
from torch import nn


class Masks:
    @functools.lru_cache(maxsize=None)
    def causal(self, length):  # <- growing-site: causal
        return torch.full((length, length), 1.0, device="cuda").triu()


def main():
    masks = Masks()
    net = nn.Linear(16, 16).cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(40):
        mask = masks.causal(64 + step)
        loss = (mask[:16, :16] @ net(torch.randn(16, 16, device="cuda"))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
