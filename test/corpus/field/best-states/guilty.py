# Reported: https://github.com/asappresearch/flambe/pull/168
"""Keep the best weights: a deep copy of the state is stored at each improvement, on the device."""
import copy

import torch
import torch.nn as nn


class Checkpoints:
    def __init__(self):
        self.states = {}

    def keep(self, epoch, model):
        self.states[epoch] = copy.deepcopy(model.state_dict())  # <- growing-site: states


checkpoints = Checkpoints()
model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 10)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(14):
    for step in range(4):
        loss = model(torch.randn(64, 512, device="cuda")).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    checkpoints.keep(epoch, model)
print(torch.cuda.memory_allocated() >> 20, "MiB")
