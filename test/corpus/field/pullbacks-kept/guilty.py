"""Each layer's pullback is kept for later, as in a library of influence functions."""
import torch
import torch.nn as nn
from torch.func import functional_call, vjp

model = nn.Sequential(nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 256)).cuda()
params = {k: p.detach() for k, p in model.named_parameters()}
pullbacks = []
for batch in range(120):
    x = torch.randn(64, 256, device="cuda")
    out, pullback = vjp(lambda p: functional_call(model, p, x), params)
    pullbacks.append(pullback)  # <- growing-site|history-accumulation: pullbacks
    score = out.square().mean().item()
print(len(pullbacks), score)
