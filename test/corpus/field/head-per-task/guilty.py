"""Continual learning: each task gets a new head, which is added to the optimizer; the heads of past tasks stay there."""
import torch
import torch.nn as nn

backbone = nn.Linear(128, 512).cuda()
optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01, momentum=0.9)
for task in range(30):
    head = nn.Linear(512, 512).cuda()
    optimizer.add_param_group({"params": head.parameters()})  # <- growing-site: optimizer
    for batch in range(3):
        loss = head(backbone(torch.randn(64, 128, device="cuda"))).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(torch.cuda.memory_allocated() >> 20, "MiB")
