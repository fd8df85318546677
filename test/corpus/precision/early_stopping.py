"""Checkpoints, the best weights so far, a learning rate schedule, clipped gradients, validation under no_grad."""
import copy
import io

import torch
from torch import nn


class EarlyStopping:
    def __init__(self, patience):
        self.patience, self.waited = patience, 0
        self.best_loss, self.best_state = float("inf"), None

    def stop(self, loss, model):
        if loss < self.best_loss:
            self.best_loss, self.waited = loss, 0
            self.best_state = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        return self.waited > self.patience


def validate(model):
    model.eval()
    total, batches = 0.0, 0
    with torch.no_grad():
        for _ in range(3):
            total += model(torch.randn(32, 64, device="cuda")).abs().mean().item()
            batches += 1
    model.train()
    return total / batches


def main():
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 1)).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
    stopping = EarlyStopping(patience=8)
    history = {"train": [], "valid": [], "rate": []}
    saved = io.BytesIO()
    for epoch in range(8):
        running = torch.zeros((), device="cuda")
        for _ in range(5):
            loss = model(torch.randn(32, 64, device="cuda")).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            running += loss.detach()
        schedule.step()
        history["train"].append(running.item() / 5)
        history["valid"].append(validate(model))
        history["rate"].append(schedule.get_last_lr()[0])
        saved.seek(0)
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, saved)
        if stopping.stop(history["valid"][-1], model):
            break
    saved.seek(0)
    state = torch.load(saved)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    model.load_state_dict(stopping.best_state)


main()
