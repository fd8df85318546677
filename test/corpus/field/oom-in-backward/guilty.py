# Device: 1GiB
"""The forward pass fits; the backward pass does not. In a trainer's method."""
import torch
import torch.nn as nn


class Trainer:
    def __init__(self):
        self.model = nn.Sequential(*(part for _ in range(12) for part in (nn.Linear(1024, 1024), nn.ReLU()))).cuda()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def step(self, batch):
        loss = self.model(torch.randn(batch, 1024, device="cuda")).square().mean()
        self.optimizer.zero_grad()
        loss.backward()  # <- out-of-memory: loss.backward
        self.optimizer.step()


trainer = Trainer()
for batch in (16384,):
    trainer.step(batch)
