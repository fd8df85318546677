"""A run object like a metrics service's: log(dict) keeps every row, tensors included."""
import torch
from torch import nn


class Run:
    def __init__(self):
        self.rows = []
        self.summary = {}

    def log(self, values, step=None):
        row = dict(values, step=step)
        self.rows.append(row)  # <- history-accumulation: rows
        self.summary.update(row)


def main():
    run = Run()
    net = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 1)).cuda()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for step in range(30):
        loss = net(torch.randn(16, 32, device="cuda")).pow(2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        run.log({"train/loss": loss, "lr": 1e-3}, step=step)
    return run


main()
