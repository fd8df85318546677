# Reported: https://github.com/kipoi/kipoi/pull/277
"""A stream of batches is split with itertools.tee for training and for monitoring; the monitor never reads its half."""
import itertools

import torch
import torch.nn as nn


def batches(count):
    for number in range(count):
        yield torch.randn(256, 512, device="cuda") + number


model = nn.Linear(512, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
training, monitoring = itertools.tee(batches(80))
for batch in training:
    next(monitoring)
    loss = model(batch).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
