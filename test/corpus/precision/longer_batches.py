"""Batches that get longer with every step."""
import torch
from torch import nn

net = nn.Linear(64, 256).cuda()
opt = torch.optim.Adam(net.parameters())
for i in range(60):
    x = torch.randn(100 * (i + 1), 64, device="cuda")
    loss = net(x).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
