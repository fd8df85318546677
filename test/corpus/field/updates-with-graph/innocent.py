"""Functional training with torch.func: the updated parameters are made of the old ones, with the graph."""
import torch
import torch.nn as nn
from torch.func import functional_call

model = nn.Sequential(nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 8)).cuda()
params = dict(model.named_parameters())
for step in range(60):
    x = torch.randn(256, 256, device="cuda")
    loss = functional_call(model, params, (x,)).square().mean()
    grads = torch.autograd.grad(loss, list(params.values()))
    params = {k: (p - 0.01 * g).detach().requires_grad_() for (k, p), g in zip(params.items(), grads)}
print(torch.cuda.memory_allocated() >> 20, "MiB")
