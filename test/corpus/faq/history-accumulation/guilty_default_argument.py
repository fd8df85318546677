"""A mutable default argument that collects losses."""
import torch
from torch import nn

model = nn.Linear(32, 2).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def record(value, history=[]):
    history.append(value)  # <- history-accumulation: history
    return len(history)


for _ in range(20):
    loss = model(torch.randn(16, 32, device="cuda")).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    record(loss)
