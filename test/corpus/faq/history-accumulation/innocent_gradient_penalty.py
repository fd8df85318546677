"""A penalty with a double backward pass, of which only numbers are kept."""
import torch
from torch import nn

D = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 1)).cuda()
opt = torch.optim.Adam(D.parameters())
pen = []
for _ in range(30):
    x = torch.randn(16, 32, device="cuda", requires_grad=True)
    (g,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    p = g.pow(2).sum()
    loss = D(x).mean() + p
    opt.zero_grad()
    loss.backward()
    opt.step()
    pen.append(p.detach().item())
