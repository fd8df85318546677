"""A run is resumed: the checkpoint, loaded onto the device, stays in a local through all of training."""
import io

import torch
from torch import nn


def step(model, optimizer):
    loss = model(torch.randn(32, 1024, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def make():
    model = nn.Sequential(nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 1024)).cuda()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-4)


def earlier_run():
    model, optimizer = make()
    step(model, optimizer)
    file = io.BytesIO()
    torch.save({"nets": [{"model": model.state_dict()}], "step": 1}, file)
    file.seek(0)
    return file


def resume(file, steps):
    model, optimizer = make()
    checkpoint = torch.load(file)  # <- dead-local: checkpoint
    model.load_state_dict(checkpoint["nets"][0]["model"])
    for number in range(checkpoint["step"], steps):
        step(model, optimizer)
    return model


resume(earlier_run(), 12)
