"""Each request adds a layer of middleware with its own context to the stack."""
import functools
import torch
import torch.nn as nn

model = nn.Linear(256, 1024).cuda()


def base(x):
    return model(x)


def cached(inner, example):
    @functools.wraps(inner)
    def call(x):
        return inner(x) + example.mean()
    return call


handler = base
with torch.no_grad():
    for request in range(150):
        x = torch.randn(64, 256, device="cuda")
        y = model(x)
        handler = cached(base, y)
print(torch.cuda.memory_allocated())
