"""The fix: numbers instead of tensors."""
import torch
from torch import nn

model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
total_loss, losses = 0.0, []
for step in range(24):
    loss = model(torch.randn(16, 32, device="cuda")).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    total_loss += loss.item()
    losses.append(float(loss))
