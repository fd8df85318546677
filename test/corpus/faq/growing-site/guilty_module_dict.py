"""A dict of features by step, a global that nobody empties."""
import torch
from torch import nn

features = {}
model = nn.Linear(128, 64).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(24):
    out = model(torch.randn(64, 128, device="cuda"))
    optimizer.zero_grad()
    out.mean().backward()
    optimizer.step()
    features[step] = out.detach().clone()  # <- growing-site: features
