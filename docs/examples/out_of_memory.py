"""A training loop that runs out of memory: each output is kept for a plot at the end.

    vramtrack run --sim=2GiB -- python docs/examples/out_of_memory.py
"""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))


model = nn.Sequential(*[Block(1024) for _ in range(8)]).cuda()
optimizer = torch.optim.AdamW(model.parameters())
outputs = []
for step in range(400):
    x = torch.randn(512, 1024, device="cuda")
    y = model(x)
    y.pow(2).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    outputs.append(y.detach())  # 2 MiB a step: outputs.append(y.detach().cpu()) would keep them in host memory
