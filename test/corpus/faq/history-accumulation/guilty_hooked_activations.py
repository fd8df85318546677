"""A class that hooks modules and keeps what comes out of them, graph and all."""
import collections

import torch
from torch import nn


class Probe:
    def __init__(self, model):
        self.activations = collections.defaultdict(list)
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                module.register_forward_hook(self.keep(name))

    def keep(self, name):
        def hook(module, inputs, output):
            self.activations[name].append(output)  # <- history-accumulation: activations

        return hook


model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2)).cuda()
probe = Probe(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(20):
    loss = model(torch.randn(16, 32, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
