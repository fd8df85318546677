"""A trainer that remembers its inputs in an attribute."""
import torch
from torch import nn


class Trainer:
    def __init__(self):
        self.model = nn.Linear(128, 8).cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.seen = []

    def fit(self, steps):
        for _ in range(steps):
            batch = torch.randn(32, 128, device="cuda")
            loss = self.model(batch).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.seen.append(batch)  # <- growing-site: self.seen


Trainer().fit(24)
