"""The history of a sampler is a linked list of tuples (sample, rest)."""
import torch
import torch.nn as nn

net = nn.Linear(128, 128).cuda()
history = None
x = torch.randn(512, 128, device="cuda")
with torch.no_grad():
    for step in range(200):
        noise = torch.randn_like(x)
        x = x - 0.1 * net(x) + 0.01 * noise
        history = (x, history)  # <- growing-site: history
count, node = 0, history
while node is not None:
    _, node = node
    count += 1
print(count, "samples")
