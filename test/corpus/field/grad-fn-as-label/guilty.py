"""A monitor notes which operation made each score, by the node of the graph itself."""
import torch
import torch.nn as nn

model = nn.Sequential(nn.Linear(512, 512), nn.Tanh(), nn.Linear(512, 1)).cuda()
made_by = {}
for request in range(80):
    score = model(torch.randn(128, 512, device="cuda")).relu().mean()
    made_by[request] = score.grad_fn  # <- growing-site|history-accumulation: made_by
    score.item()
print(len(made_by))
