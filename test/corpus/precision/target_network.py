"""Q-learning with a bounded replay memory and a target network."""
import collections
import random
import copy
import torch
from torch import nn

buf = collections.deque(maxlen=32)
policy = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)).cuda()
target = copy.deepcopy(policy)
opt = torch.optim.AdamW(policy.parameters())
s = torch.randn(1, 16, device="cuda")
for t in range(100):
    s2 = torch.randn(1, 16, device="cuda")
    buf.append((s, s2))
    s = s2
    if len(buf) < 8:
        continue
    b = random.sample(buf, 8)
    with torch.no_grad():
        y = target(torch.cat([x[1] for x in b])).max(1).values
    loss = nn.functional.mse_loss(policy(torch.cat([x[0] for x in b])).max(1).values, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for p, q in zip(policy.parameters(), target.parameters()):
            q.lerp_(p, 0.005)
