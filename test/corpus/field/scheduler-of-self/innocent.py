# Reported: https://github.com/pytorch/pytorch/issues/47589
"""Each run has its optimizer and a schedule whose function refers to the run: a cycle that only the collector frees."""
import gc

import torch
import torch.nn as nn
from torch.optim.lr_scheduler import LambdaLR

gc.disable()
model = nn.Linear(512, 512).cuda()


class Run:
    def __init__(self):
        self.rate = 1.0
        self.optimizer = torch.optim.Adam(model.parameters())
        self.schedule = LambdaLR(self.optimizer, lambda epoch, rate=self.rate: rate)

    def train(self):
        loss = model(torch.randn(64, 512, device="cuda")).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


for trial in range(30):
    Run().train()
print(torch.cuda.memory_allocated() >> 20, "MiB")
