# Reported: https://github.com/Lightning-AI/pytorch-lightning/issues/4556
"""Logging for the epoch's mean: a nested list of every batch's outputs, loss and features still on the device."""
import torch
import torch.nn as nn


def training_batch(model, optimizer):
    x = torch.randn(128, 256, device="cuda")
    features = model[0](x)
    loss = model[1](features).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return [[{"extra": {"features": features.detach().cpu()}, "minimize": loss.item()}]]


def fit(steps):
    model = nn.Sequential(nn.Linear(256, 512), nn.Linear(512, 8)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    epoch_output = [[] for _ in model]
    for step in range(steps):
        for place, outputs in enumerate(training_batch(model, optimizer)):
            epoch_output[place].append(outputs)
    print(torch.cuda.memory_allocated() >> 20, "MiB")
    return epoch_output


kept = fit(60)
