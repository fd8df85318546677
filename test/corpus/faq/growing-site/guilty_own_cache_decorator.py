"""A cache decorator of the program's own, asked for another key in every step."""
import functools
import torch
from torch import nn


def cached(fn):
    store = {}

    @functools.wraps(fn)
    def inner(*args):
        if args not in store:
            store[args] = fn(*args)  # <- growing-site: store
        return store[args]

    return inner


@cached
def positional(step, dim):
    return torch.arange(dim, device="cuda").float().mul(0.01 * step).sin()


def main():
    model = nn.Linear(4096, 16).cuda()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(60):
        x = torch.randn(4, 4096, device="cuda") + positional(step, 4096)
        loss = model(x).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()


main()
