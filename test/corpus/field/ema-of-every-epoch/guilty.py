"""Averaged weights: a copy of the averaged model is appended after each epoch, to choose among them at the end."""
import copy

import torch
import torch.nn as nn


class Averaged:
    def __init__(self, model):
        self.shadow = copy.deepcopy(model)
        self.history = []

    @torch.no_grad()
    def update(self, model):
        for own, new in zip(self.shadow.parameters(), model.parameters()):
            own.lerp_(new, 0.1)

    def end_epoch(self):
        self.history.append(copy.deepcopy(self.shadow))  # <- growing-site: history


def train(epochs=14, steps=4):
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    averaged = Averaged(model)
    for epoch in range(epochs):
        for step in range(steps):
            loss = model(torch.randn(64, 512, device="cuda")).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged.update(model)
        averaged.end_epoch()
    print(torch.cuda.memory_allocated() >> 20, "MiB")
    return averaged


kept = train()
