# Reported: https://github.com/Lightning-AI/pytorch-lightning/issues/8215
"""A logger buffers histograms until it is flushed, which nobody does."""
import torch
import torch.nn as nn


class Writer:
    def __init__(self):
        self.pending = []

    def histogram(self, tag, values, step):
        self.pending.append((tag, step, values))

    def flush(self):
        self.pending.clear()


writer = Writer()
model = nn.Linear(512, 512).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(50):
    loss = model(torch.randn(64, 512, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    writer.histogram("weight", model.weight.detach().clone(), step)
    writer.histogram("grad", model.weight.grad.clone(), step)
    writer.flush()
print(torch.cuda.memory_allocated() >> 20, "MiB")
