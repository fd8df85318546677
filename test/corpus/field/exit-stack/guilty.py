"""A context is entered in each step, and the stack that is to leave them all lives as long as the training."""
import contextlib

import torch
import torch.nn as nn


@contextlib.contextmanager
def saved_weights(model):
    backup = [p.detach().clone() for p in model.parameters()]
    yield backup
    backup.clear()


def train(model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with contextlib.ExitStack() as stack:
        for step in range(steps):
            loss = model(torch.randn(64, 512, device="cuda")).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            backup = stack.enter_context(saved_weights(model))  # <- growing-site: stack
            backup[0].add_(1)


train(nn.Linear(512, 512).cuda(), 60)
