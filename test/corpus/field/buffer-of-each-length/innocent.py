"""A mask of each length is kept as a buffer of the module."""
import torch
import torch.nn as nn


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(64, 64)
        self.register_buffer("mask", torch.ones(400, 400).tril(), persistent=False)

    def forward(self, x):
        n = x.shape[0]
        return (self.proj(x) @ x.T) * self.mask[:n, :n]


decoder = Decoder().cuda()
with torch.no_grad():
    for request in range(160):
        decoder(torch.randn(200 + request, 64, device="cuda")).sum().item()
