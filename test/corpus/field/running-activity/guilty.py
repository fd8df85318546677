# Reported: https://github.com/growingnet/gromo/issues/135
"""A layer keeps a running mean of its activity for a later decision on growth; it is never detached."""
import torch
import torch.nn as nn


class Growing(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.activity = None

    def forward(self, x):
        y = self.layer(x)
        mean = y.mean(0)
        self.activity = mean if self.activity is None else 0.9 * self.activity + 0.1 * mean  # <- history-accumulation: activity
        return torch.relu(y)


model = nn.Sequential(Growing(256), Growing(256), nn.Linear(256, 10)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(60):
    loss = model(torch.randn(64, 256, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward(retain_graph=True)
    optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
