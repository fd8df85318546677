"""A smoothed loss in a closure; the loop has another name for it."""
import torch
from torch import nn


def make_smoother(beta):
    avg = None

    def smooth(v):
        nonlocal avg
        avg = v if avg is None else beta * avg + (1 - beta) * v  # <- history-accumulation: avg
        return avg

    return smooth


def run():
    model = nn.Linear(64, 64).cuda()
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    smooth = make_smoother(0.9)
    for i in range(50):
        loss = model(torch.randn(32, 64, device="cuda")).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        s = smooth(loss)
        if i % 10 == 0:
            print(i, s.item())


run()
