"""The FAQ's own example: a running total of losses at module level."""
import torch
from torch import nn

model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
total_loss = 0
for step in range(24):
    loss = model(torch.randn(16, 32, device="cuda")).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total_loss += loss  # <- history-accumulation: total_loss
print(type(total_loss))
