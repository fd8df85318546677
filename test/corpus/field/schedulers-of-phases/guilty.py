"""Phases of a training, each with an optimizer of its own, whose scheduler is kept for the log: and the optimizer with it."""
import torch
from torch import nn


def phase(model, rate):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    for _ in range(20):
        loss = model(torch.randn(64, 256, device="cuda")).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return scheduler


def main():
    model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(8)]).cuda()
    phases = []
    for k in range(12):
        phases.append(phase(model, 10 ** -(k / 4)))  # <- growing-site: phases
    print([scheduler.get_last_lr() for scheduler in phases])


main()
