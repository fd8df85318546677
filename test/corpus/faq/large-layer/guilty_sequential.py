"""A Sequential at module level with one huge layer in it."""
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 8192), nn.ReLU(), nn.Linear(8192, 1))  # <- large-layer: model.2
model.cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for _ in range(4):
    loss = model(torch.randn(8, 64, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
