# Reported: https://github.com/Kaixhin/Rainbow/pull/33
"""A replay memory of named tuples keeps the action with the graph that made it; it has a limit, but a far one."""
import collections

import torch
import torch.nn as nn

Transition = collections.namedtuple("Transition", "state action reward")


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = collections.deque([], maxlen=capacity)

    def push(self, *values):
        self.memory.append(Transition(*values))  # <- history-accumulation: memory


actor = nn.Sequential(nn.Linear(64, 512), nn.Tanh(), nn.Linear(512, 8)).cuda()
critic = nn.Linear(72, 1).cuda()
optimizer = torch.optim.Adam(critic.parameters())
memory = ReplayMemory(10000)
for step in range(60):
    state = torch.randn(32, 64, device="cuda")
    action = actor(state)
    memory.push(state, action, 0.5)
    last = memory.memory[-1]
    loss = (critic(torch.cat([last.state, last.action.detach()], 1)) - last.reward).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
