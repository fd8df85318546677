"""A small training loop with the classic mistake: a running loss that keeps every step's autograd graph.

    vramtrack run --sim -- python docs/examples/leaky_train.py
"""

import torch
from torch import nn

STEPS = 60


def batches(count):
    for _ in range(count):
        yield torch.randn(64, 512, device="cuda"), torch.randint(0, 10, (64,), device="cuda")


model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

total_loss = 0
for inputs, targets in batches(STEPS):
    optimizer.zero_grad()
    loss = criterion(model(inputs), targets)
    loss.backward()
    optimizer.step()
    total_loss += loss  # the mistake: this is a tensor with history; total_loss += loss.item() is meant

print(f"mean loss over {STEPS} steps: {total_loss.item() / STEPS:.4f}")
