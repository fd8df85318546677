"""Two networks, two optimizers."""
import torch
from torch import nn

generator = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 128)).cuda()
critic = nn.Sequential(nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)).cuda()
optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4)
optimizer_d = torch.optim.Adam(critic.parameters(), lr=2e-4)
losses = {"g": [], "d": []}
for step in range(24):
    real = torch.randn(32, 128, device="cuda")
    fake = generator(torch.randn(32, 16, device="cuda"))
    loss_d = critic(fake.detach()).mean() - critic(real).mean()
    optimizer_d.zero_grad()
    loss_d.backward()
    optimizer_d.step()
    loss_g = -critic(fake).mean()
    optimizer_g.zero_grad()
    loss_g.backward()
    optimizer_g.step()
    losses["g"].append(loss_g.item())
    losses["d"].append(loss_d.item())
