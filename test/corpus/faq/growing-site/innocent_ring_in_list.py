"""A replay memory that is a ring in a list, not full yet when the run ends."""
import random
import torch
from torch import nn


class ReplayMemory:
    def __init__(self, capacity):
        self.capacity, self.memory, self.position = capacity, [], 0

    def push(self, *t):
        if len(self.memory) < self.capacity:
            self.memory.append(None)
        self.memory[self.position] = t
        self.position = (self.position + 1) % self.capacity

    def sample(self, n):
        return random.sample(self.memory, n)


mem = ReplayMemory(10000)
net = nn.Linear(64, 4).cuda()
opt = torch.optim.Adam(net.parameters())
for i in range(80):
    mem.push(torch.randn(1, 64, device="cuda"), torch.randn(1, device="cuda"))
    if i < 8:
        continue
    s = mem.sample(8)
    loss = net(torch.cat([a for a, _ in s])).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
