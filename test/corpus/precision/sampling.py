"""A sampling loop that keeps a few of its intermediate states."""
import torch
from torch import nn

net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 3, 3, padding=1)).cuda().eval()
betas = torch.linspace(1e-4, 0.02, 200, device="cuda")
inter = []
with torch.inference_mode():
    x = torch.randn(4, 3, 32, 32, device="cuda")
    for t in reversed(range(200)):
        x = x - betas[t] * net(x)
        if t % 50 == 0:
            inter.append(x)
