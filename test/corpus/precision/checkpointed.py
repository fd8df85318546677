"""Blocks under activation checkpointing, both variants."""
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

calls = 0


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))

    def forward(self, x):
        global calls
        calls += 1
        return x + self.body(x)


blocks = nn.ModuleList(Block() for _ in range(4)).cuda()
optimizer = torch.optim.AdamW(blocks.parameters())
for step in range(12):
    x = torch.randn(32, 64, device="cuda", requires_grad=True)
    for block in blocks:
        x = checkpoint(block, x, use_reentrant=step % 2 == 0)
    optimizer.zero_grad()
    x.mean().backward()
    optimizer.step()
assert calls == 12 * 4 * 2, calls  # each block forward, and again in backward: nobody else may call it
