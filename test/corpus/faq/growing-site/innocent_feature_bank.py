"""A bank of features, made once and then searched."""
import torch
from torch import nn

enc = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 256)).cuda().eval()
bank = []
with torch.no_grad():
    for _ in range(64):
        bank.append(enc(torch.randn(128, 512, device="cuda")))
    hits = 0
    for _ in range(40):
        q = enc(torch.randn(4, 512, device="cuda"))
        hits += sum((q @ b.t()).max().item() >= 0 for b in bank[:4])
