# Reported: https://github.com/oxwhirl/pymarl/pull/73
"""A runner stores the chosen actions' values of every episode as they come from the network, with their graphs."""
import torch
import torch.nn as nn


class EpisodeBuffer:
    def __init__(self):
        self.episodes = []

    def insert(self, values):
        self.episodes.append(values)


agent = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 16)).cuda()
optimizer = torch.optim.RMSprop(agent.parameters())
buffer = EpisodeBuffer()
for episode in range(40):
    values = torch.stack([agent(torch.randn(64, 128, device="cuda")) for _ in range(4)])
    buffer.insert(values.detach().cpu())
    loss = agent(torch.randn(64, 128, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
