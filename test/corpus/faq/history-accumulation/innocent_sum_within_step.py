"""A sum of losses with history, as gradient accumulation and multi-task training need it: dropped in every step."""
import torch
from torch import nn


class Trainer:
    def __init__(self):
        self.model = nn.Linear(32, 8).cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.total = 0

    def fit(self):
        for _ in range(24):
            self.total = 0
            for _ in range(8):
                self.total = self.total + self.model(torch.randn(16, 32, device="cuda")).abs().mean()
            self.optimizer.zero_grad()
            self.total.backward()
            self.optimizer.step()


Trainer().fit()
