"""WGAN-GP: the gradient penalty is logged with its graph."""
import collections

import torch
import torch.nn as nn

critic = nn.Sequential(nn.Linear(256, 512), nn.Tanh(), nn.Linear(512, 1)).cuda()
optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4)
log = collections.defaultdict(list)
for step in range(50):
    real = torch.randn(64, 256, device="cuda", requires_grad=True)
    score = critic(real)
    (grad,) = torch.autograd.grad(score.sum(), real, create_graph=True)
    penalty = (grad.norm(dim=1) - 1).square().mean()
    loss = score.mean() + 10 * penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    log["penalty"].append(penalty.detach())
print(torch.cuda.memory_allocated() >> 20, "MiB")
