"""A dict of losses for every step, kept for a plot."""
import torch
from torch import nn


def fit(model, steps):
    optimizer = torch.optim.AdamW(model.parameters())
    records = []
    for step in range(steps):
        output = model(torch.randn(16, 32, device="cuda"))
        losses = {"main": output.pow(2).mean(), "extra": 0.1 * output.abs().mean()}
        losses["total"] = losses["main"] + losses["extra"]
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        records.append({"step": step, **losses})  # <- history-accumulation: records
    return records


if __name__ == "__main__":
    fit(nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 2)).cuda(), 20)
