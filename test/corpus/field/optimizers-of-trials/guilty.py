# Reported: https://github.com/Lightning-AI/pytorch-lightning/issues/6570
"""Look for a batch size: each attempt makes a new optimizer for the same model; the trainer keeps them all."""
import torch
import torch.nn as nn


class Tuner:
    def __init__(self, model):
        self.model = model
        self.optimizers = []

    def attempt(self, batch):
        self.optimizers.append(torch.optim.AdamW(self.model.parameters(), lr=1e-4))  # <- growing-site: optimizers
        optimizer = self.optimizers[-1]
        for _ in range(3):
            loss = self.model(torch.randn(batch, 512, device="cuda")).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


tuner = Tuner(nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 512)).cuda())
for attempt in range(12):
    tuner.attempt(8 + attempt)
print(torch.cuda.memory_allocated() >> 20, "MiB")
