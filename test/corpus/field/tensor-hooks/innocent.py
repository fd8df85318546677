"""A mask is put on the gradient of a weight by a hook, and each step adds one hook more, with its own mask."""
import functools

import torch
import torch.nn as nn


def apply(mask, gradient):
    return gradient * mask


model = nn.Linear(512, 512).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(40):
    mask = (torch.rand(512, 512, device="cuda") > 0.1).float()
    handle = model.weight.register_hook(functools.partial(apply, mask))
    loss = model(torch.randn(64, 512, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    handle.remove()
print(torch.cuda.memory_allocated() >> 20, "MiB")
