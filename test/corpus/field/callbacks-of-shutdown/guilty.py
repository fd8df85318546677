"""A writer of each run defines what is to be done at shutdown, by decorator, in a function of its own."""
import atexit
import weakref

import torch
import torch.nn as nn


class Run:
    pass


def start(model):
    run = Run()
    run.out = model(torch.randn(64, 256, device="cuda"))
    out = run.out

    @atexit.register  # <- growing-site: atexit
    def close():
        return out.mean()

    return run


model = nn.Linear(256, 1024).cuda()
with torch.no_grad():
    for number in range(150):
        run = start(model)
        run.out.sum().item()
