"""Layers that are initialised on the device, with temporaries for each, and used once."""
import time
import torch
from torch import nn


def make(d):
    l = nn.Linear(d, d, device="cuda")
    with torch.no_grad():
        w = torch.randn(d, d, device="cuda")
        w = w / w.norm(dim=1, keepdim=True)
        l.weight.copy_(w * 0.1)
    time.sleep(0.01)
    return l


m = nn.ModuleList([make(512) for _ in range(48)])
x = torch.randn(4, 512, device="cuda")
with torch.no_grad():
    for l in m:
        x = l(x).relu()
