"""Mixed precision in which most steps are skipped: the gradients overflow, and GradScaler does not call the optimizer."""
import torch
from torch import nn


def train(steps):
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
    scale = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([scale], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    values = []
    for step in range(steps):
        value = net(torch.randn(16, 32, device="cuda")).mean()
        optimizer.zero_grad()
        scaler.scale(value.cpu() * scale).backward()
        if step % 3:
            scale.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        values.append(value)  # <- history-accumulation: values


train(45)
