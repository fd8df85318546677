"""Skipped steps of GradScaler, first in all steps and then in some, with nothing kept but numbers."""
import torch
from torch import nn


def main():
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
    scale = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([scale], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    window, history = [], []
    for step in range(120):
        loss = net(torch.randn(16, 32, device="cuda")).mean().cpu() * scale
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if step < 60 or step % 4:
            scale.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        history.append(loss.item())
        window = window[-3:] + [loss.detach()]


main()
