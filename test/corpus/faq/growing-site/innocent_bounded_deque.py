"""A replay buffer of fixed size: a deque with maxlen."""
from collections import deque

import torch
from torch import nn

replay = deque(maxlen=16)
model = nn.Linear(64, 1).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    replay.append(torch.randn(16, 64, device="cuda"))
    loss = model(replay[step % len(replay)]).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
