"""A trainer object that keeps its running loss as a tensor."""
import torch
from torch import nn


class Trainer:
    def __init__(self):
        self.model = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4)).cuda()
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.running = torch.zeros((), device="cuda")

    def one_step(self):
        loss = self.model(torch.randn(8, 16, device="cuda")).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.running = self.running + loss  # <- history-accumulation: self.running

    def fit(self, steps):
        for _ in range(steps):
            self.one_step()


Trainer().fit(20)
