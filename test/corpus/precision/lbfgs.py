"""LBFGS, whose step runs a closure many times."""
import torch
from torch import nn

m = nn.Linear(64, 1).cuda()
opt = torch.optim.LBFGS(m.parameters(), history_size=10, max_iter=5)
x = torch.randn(64, 64, device="cuda")
L = []
for _ in range(40):

    def closure():
        opt.zero_grad()
        l = m(x).pow(2).mean()
        l.backward()
        return l

    L.append(opt.step(closure).item())
