"""A WGAN penalty, made with create_graph, summed up for the statistics."""
import torch
from torch import nn

critic = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 1)).cuda()
opt = torch.optim.Adam(critic.parameters())


class Stats:
    pass


stats = Stats()
stats.penalty = 0.0


def gradient_penalty(real, fake):
    a = torch.rand(real.size(0), 1, device="cuda")
    x = (a * real + (1 - a) * fake).requires_grad_(True)
    (g,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return ((g.norm(2, dim=1) - 1) ** 2).mean()


for _ in range(24):
    real, fake = torch.randn(16, 32, device="cuda"), torch.randn(16, 32, device="cuda")
    gp = gradient_penalty(real, fake)
    loss = critic(fake).mean() - critic(real).mean() + 10 * gp
    opt.zero_grad()
    loss.backward()
    opt.step()
    stats.penalty += gp  # <- history-accumulation: penalty
