"""A copy of the model for every epoch stays on the device."""
import copy
import torch
from torch import nn


def train(epochs):
    model = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 10)).cuda()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoints = []
    for epoch in range(epochs):
        for _ in range(5):
            loss = model(torch.randn(16, 128, device="cuda")).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
        checkpoints.append(copy.deepcopy(model))  # <- growing-site: ensemble
    return checkpoints


ensemble = train(16)
print(len(ensemble))
