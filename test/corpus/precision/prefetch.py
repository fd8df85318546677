"""A loader that keeps the next two batches on the device, moved on a stream of its own."""
import collections

import torch
from torch import nn


class Prefetcher:
    def __init__(self, batches, depth=2):
        self.batches, self.depth = iter(batches), depth
        self.stream = torch.cuda.Stream()
        self.ready = collections.deque()

    def fill(self):
        while len(self.ready) < self.depth:
            batch = next(self.batches, None)
            if batch is None:
                return
            with torch.cuda.stream(self.stream):
                self.ready.append(batch.pin_memory().cuda(non_blocking=True))

    def __iter__(self):
        self.fill()
        while self.ready:
            torch.cuda.current_stream().wait_stream(self.stream)
            batch = self.ready.popleft()
            batch.record_stream(torch.cuda.current_stream())
            yield batch
            self.fill()


model = nn.Linear(256, 16).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    for batch in Prefetcher(torch.randn(20, 32, 256)):
        optimizer.zero_grad()
        loss = model(batch).pow(2).mean()
        loss.backward()
        optimizer.step()
