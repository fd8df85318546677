"""One dict of detached tensors for the log of every step."""
import torch
from torch import nn


def training_step(model, optimizer):
    batch = torch.randn(32, 64, device="cuda")
    predicted = model(batch)
    loss = predicted.pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.detach(), "predicted": predicted.detach(), "lr": 0.1}


def fit(epochs):
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logs = []
    for epoch in range(epochs):
        for _ in range(8):
            logs.append(training_step(model, optimizer))  # <- growing-site: logs
    return logs


fit(3)
