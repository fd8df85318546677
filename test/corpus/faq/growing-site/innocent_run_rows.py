"""A run object that keeps every row, of numbers; histograms go to the host."""
import torch
from torch import nn


class Run:
    def __init__(self):
        self.rows, self.summary = [], {}

    def log(self, values):
        self.rows.append({name: value.item() if torch.is_tensor(value) else value for name, value in values.items()})
        self.summary.update(values)


run = Run()
net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 1)).cuda()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
for step in range(40):
    loss = net(torch.randn(16, 32, device="cuda")).pow(2).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    run.log({"train/loss": loss, "lr": 1e-3, "norm": net[0].weight.detach().norm()})
