"""Looks at the frames keep nothing alive: a deleted or rebound local is freed at once, snapshots of locals() stay."""
import torch
from torch import nn


def train():
    model = nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrong = 0
    for step in range(20):
        big = torch.zeros(1024, 1024, device="cuda")
        snapshot = {"step": step}
        loss = model(big[:, :64]).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with_big = torch.cuda.memory_allocated()
        del loss
        before = torch.cuda.memory_allocated()
        del big
        wrong += before - torch.cuda.memory_allocated() < 4 * 1024 * 1024
    return wrong


def snapshots():
    value = 1
    mine = locals()
    held = [torch.zeros(1024, 1024, device="cuda") for _ in range(16)]
    value = 2
    return mine["value"], "held" in mine, len(held)


print(train(), snapshots())
