"""A replay memory without a limit, whose elements are named tuples of device tensors."""
import random
import torch
from torch import nn
import collections

Transition = collections.namedtuple("Transition", "state action reward next_state")


class ReplayMemory:
    def __init__(self):
        self.memory = []

    def push(self, *args):
        self.memory.append(Transition(*args))  # <- growing-site: memory

    def sample(self, n):
        return random.sample(self.memory, n)

    def __len__(self):
        return len(self.memory)


policy = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 4)).cuda()
opt = torch.optim.AdamW(policy.parameters())
memory = ReplayMemory()
state = torch.randn(1, 128, device="cuda")
for t in range(80):
    with torch.no_grad():
        action = policy(state).max(1).indices.view(1, 1)
    next_state = torch.randn(1, 128, device="cuda")
    reward = torch.tensor([1.0], device="cuda")
    memory.push(state, action, reward, next_state)
    state = next_state
    if len(memory) < 8:
        continue
    batch = Transition(*zip(*memory.sample(8)))
    q = policy(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    loss = nn.functional.smooth_l1_loss(q, torch.cat(batch.reward).unsqueeze(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
