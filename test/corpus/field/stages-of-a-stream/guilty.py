"""Each round adds a filter to the stream of samples; all filters before it go on to hold their reference."""
import torch
import torch.nn as nn


def without(stream, reference):
    for sample in stream:
        yield sample - 0.01 * reference.mean()


def source(model):
    while True:
        yield model(torch.randn(64, 256, device="cuda"))


model = nn.Linear(256, 1024).cuda()
with torch.no_grad():
    stream = source(model)
    for round_ in range(120):
        sample = next(stream)
        reference = model(torch.randn(64, 256, device="cuda"))
        stream = without(stream, reference)  # <- growing-site: stream
print(sample.mean().item())
