"""Lists that grow under other names: a bound method kept in a local, and a function that is given the list."""
import torch
from torch import nn


def record(store, value):
    store.append(value)  # <- growing-site: inputs


class Trainer:
    def __init__(self):
        self.outputs, self.inputs = [], []
        self.model = nn.Linear(64, 8).cuda()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def fit(self, steps):
        keep = self.outputs.append
        for _ in range(steps):
            batch = torch.randn(16, 64, device="cuda")
            output = self.model(batch)
            self.optimizer.zero_grad()
            output.mean().backward()
            self.optimizer.step()
            keep(output.detach())  # <- growing-site: outputs
            record(self.inputs, batch)


trainer = Trainer()
trainer.fit(24)
