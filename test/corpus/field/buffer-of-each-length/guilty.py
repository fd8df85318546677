"""A mask of each length is kept as a buffer of the module."""
import torch
import torch.nn as nn


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(64, 64)

    def forward(self, x):
        n = x.shape[0]
        name = f"mask_{n}"
        if not hasattr(self, name):
            self.register_buffer(name, torch.ones(n, n, device=x.device).tril(), persistent=False)  # <- growing-site: mask
        return (self.proj(x) @ x.T) * getattr(self, name)


decoder = Decoder().cuda()
with torch.no_grad():
    for request in range(160):
        decoder(torch.randn(200 + request, 64, device="cuda")).sum().item()
