"""A forward and a backward pass through a deep model, and another forward pass; no optimizer."""
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.n = nn.LayerNorm(d)
        self.a = nn.Linear(d, 4 * d)
        self.b = nn.Linear(4 * d, d)

    def forward(self, x):
        h = self.n(x)
        h = torch.nn.functional.gelu(self.a(h))
        return x + self.b(h)


m = nn.Sequential(*[Block(256) for _ in range(48)]).cuda()
out = m(torch.randn(32, 256, device="cuda"))
out.sum().backward()
out2 = m(torch.randn(32, 256, device="cuda"))
