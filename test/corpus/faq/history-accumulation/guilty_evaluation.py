"""An evaluation loop without no_grad: no optimizer step ever runs."""
import torch
from torch import nn


def evaluate(model, batches):
    score = 0
    for _ in range(batches):
        score += model(torch.randn(256, 128, device="cuda")).mean()  # <- history-accumulation: score
    return float(score)


net = nn.Sequential(nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 8)).cuda()
evaluate(net, 60)
