"""Gradient accumulation over four micro-batches, with an automatic scaler-like factor."""
import torch
from torch import nn


def main():
    model = nn.Sequential(nn.Linear(128, 256), nn.GELU(), nn.Linear(256, 8)).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(16):
        optimizer.zero_grad(set_to_none=True)
        total = 0
        for _ in range(4):
            loss = model(torch.randn(16, 128, device="cuda")).mean() / 4
            loss.backward()
            total += loss.detach()
        optimizer.step()


main()
