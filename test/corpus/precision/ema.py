"""An exponential moving average of the weights, as a dict and as a copy of the model."""
import copy

import torch
from torch import nn


class Averaged:
    def __init__(self, model):
        self.shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for name, value in model.state_dict().items():
            self.shadow[name] = 0.99 * self.shadow[name] + 0.01 * value
        for mine, theirs in zip(self.model.parameters(), model.parameters()):
            mine.lerp_(theirs, 0.01)


model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
averaged = Averaged(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(24):
    loss = model(torch.randn(16, 64, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    averaged.update(model)
