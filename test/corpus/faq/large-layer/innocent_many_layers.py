"""A large model made of equal layers: none of them dominates."""
import torch
from torch import nn

model = nn.Sequential(*[nn.Linear(2048, 2048) for _ in range(8)]).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    loss = model(torch.randn(8, 2048, device="cuda")).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
