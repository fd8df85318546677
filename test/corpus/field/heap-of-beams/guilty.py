"""A beam search keeps its best states in a heap; nobody limits it."""
import heapq

import torch
import torch.nn as nn

model = nn.Linear(512, 512).cuda()
beams = []
with torch.no_grad():
    for number in range(120):
        state = model(torch.randn(256, 512, device="cuda"))
        score = float(torch.rand(()))
        heapq.heappush(beams, (score, number, state))  # <- growing-site: beams
print(len(beams), torch.cuda.memory_allocated() >> 20, "MiB")
