# Reported: https://github.com/bytedance/UNO/issues/64
"""Training goes round a loader with itertools.cycle, which keeps what it has seen for the next round."""
import itertools

import torch
import torch.nn as nn


def batches(count):
    for number in range(count):
        yield torch.randn(256, 512, device="cuda") + number


model = nn.Linear(512, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
endless = itertools.cycle(batches(500))  # <- growing-site: endless
for step in range(80):
    loss = model(next(endless)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
