"""An MLP classifier with cross entropy and Adam."""
import torch
from torch import nn
import torch.nn.functional as F

model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 10)).cuda()
optimizer = torch.optim.Adam(model.parameters())
for step in range(40):
    x = torch.randn(64, 784, device="cuda")
    y = torch.zeros(64, dtype=torch.long, device="cuda")
    out = model(x)
    loss = F.cross_entropy(out, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
