"""A meter that averages tensors and returns its average, for which the loop has a name of its own."""
import torch
from torch import nn


class AverageMeter:
    def __init__(self):
        self.avg, self.n = 0, 0

    def update(self, v):
        self.n += 1
        self.avg = self.avg + (v - self.avg) / self.n  # <- history-accumulation: avg
        return self.avg


def train():
    m = nn.Linear(32, 32).cuda()
    opt = torch.optim.SGD(m.parameters(), lr=0.1)
    meter = AverageMeter()
    for i in range(40):
        loss = m(torch.randn(8, 32, device="cuda")).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        avg = meter.update(loss)
        if i % 20 == 0:
            print(f"{i} {avg:.3f}")


train()
