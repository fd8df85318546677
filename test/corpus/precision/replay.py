"""A DQN-like loop: a replay buffer of fixed size and a target network."""
import collections
import copy
import random

import torch
from torch import nn


class Agent:
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)).cuda()
        self.target = copy.deepcopy(self.net)
        self.memory = collections.deque(maxlen=20)
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def learn(self, step):
        with torch.no_grad():
            state = torch.randn(8, device="cuda")
            self.memory.append((state, self.net(state)))
        states, values = zip(*random.choices(self.memory, k=8))
        loss = (self.net(torch.stack(states)) - self.target(torch.stack(states)).detach()).pow(2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if step % 8 == 0:
            self.target.load_state_dict(self.net.state_dict())


agent = Agent()
for step in range(48):
    agent.learn(step)
