"""Mixed precision: autocast and GradScaler, with foreach, fused and looped optimizers in turn."""
import torch
from torch import nn


def train(make, steps):
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8)).cuda()
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cuda", init_scale=4.0)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(torch.randn(16, 64, device="cuda")).float().pow(2).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


train(lambda p: torch.optim.Adam(p, foreach=True), 8)
train(lambda p: torch.optim.AdamW(p, foreach=False), 8)
train(lambda p: torch.optim.SGD(p, lr=0.1, fused=True), 8)
