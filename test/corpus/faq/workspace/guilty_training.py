"""The same in training."""
import torch
from torch import nn


class Trainer:
    def __init__(self):
        self.model = nn.Linear(32, 32).cuda()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def fit(self):
        for _ in range(4):
            loss = self.model(torch.randn(8, 32, device="cuda")).mean()  # expect: workspace
            loss.backward()
            self.optimizer.step()


Trainer().fit()
