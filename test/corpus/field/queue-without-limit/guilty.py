# Reported: https://github.com/deep-learning-with-pytorch/dlwpt-code/issues/26
"""A prefetcher puts batches on the device ahead of the model, into a queue that has no limit."""
import queue
import threading

import torch
import torch.nn as nn


class Prefetcher:
    def __init__(self, batches):
        self.ready = queue.Queue()
        self.asked = threading.Semaphore(2)
        self.thread = threading.Thread(target=self.fill, args=(batches,), daemon=True)
        self.thread.start()

    def fill(self, batches):
        for _ in range(batches):
            self.asked.acquire()
            self.ready.put(torch.randn(256, 512).to("cuda").mul(2))  # <- growing-site: ready


prefetcher = Prefetcher(160)
model = nn.Linear(512, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(40):
    prefetcher.asked.release(4)  # four for each that is used
    loss = model(prefetcher.ready.get()).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
prefetcher.thread.join(20)
print(prefetcher.ready.qsize(), "wait", torch.cuda.memory_allocated() >> 20, "MiB")
