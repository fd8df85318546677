"""Models that are trained in turn, all of which vote in the end."""

import torch
from torch import nn


class Ensemble:
    def __init__(self):
        self.members = []

    @torch.no_grad()
    def predict(self, x):
        return torch.stack([member(x).softmax(-1) for member in self.members]).mean(0)


def train(steps=40):
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10)).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        x, y = torch.randn(64, 256, device="cuda"), torch.randint(0, 10, (64,), device="cuda")
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval()


def main():
    ensemble = Ensemble()
    for _ in range(5):
        ensemble.members.append(train())
    for _ in range(20):
        ensemble.predict(torch.randn(64, 256, device="cuda"))


main()
