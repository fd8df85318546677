"""A hook that is to look at one step of the optimizer is registered anew for each batch, and keeps it."""
import torch
import torch.nn as nn


def train(model, steps):
    optimizer = torch.optim.AdamW(model.parameters())
    sizes = []
    for step in range(steps):
        batch = torch.randn(512, 512, device="cuda")

        def report(optimizer, args, kwargs, batch=batch):
            sizes.append(len(batch))

        handle = optimizer.register_step_post_hook(report)
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        handle.remove()


train(nn.Linear(512, 64).cuda(), 60)
