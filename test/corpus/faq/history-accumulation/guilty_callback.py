"""A callback, as frameworks take them, that collects the losses it is called with."""
import torch
from torch import nn


def collector():
    seen = []
    return lambda step, loss: seen.append(loss), seen


class Loop:
    def __init__(self, callbacks):
        self.callbacks = callbacks
        self.model = nn.Linear(32, 2).cuda()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def run(self, steps):
        for step in range(steps):
            loss = self.model(torch.randn(16, 32, device="cuda")).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            for callback in self.callbacks:
                callback(step, loss)


remember, losses = collector()  # <- history-accumulation: losses
Loop([remember]).run(20)
