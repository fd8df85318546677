"""Errors kept for a summary: their tracebacks hold the frames, and those the batches."""
import torch
from torch import nn


def check(batch):
    scaled = batch * 2
    if scaled.numel():
        raise ValueError("out of range")


class Trainer:
    def __init__(self):
        self.errors = []
        self.model = nn.Linear(64, 8).cuda()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self):
        batch = torch.randn(64, 64, device="cuda")
        try:
            check(batch)
        except ValueError as error:
            self.errors.append(error)  # <- growing-site: errors
        loss = self.model(batch).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


trainer = Trainer()
for _ in range(24):
    trainer.step()
