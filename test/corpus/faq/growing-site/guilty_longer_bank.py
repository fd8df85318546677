"""A bank of features that torch.cat makes longer in every step."""
import torch
from torch import nn


class Bank:
    def __init__(self):
        self.features = torch.zeros(0, 128, device="cuda")

    def add(self, k):
        self.features = torch.cat([self.features, k])  # <- growing-site: features


enc = nn.Linear(64, 128).cuda()
bank = Bank()
opt = torch.optim.SGD(enc.parameters(), lr=0.1)
for _ in range(60):
    k = enc(torch.randn(256, 64, device="cuda"))
    bank.add(k.detach())
    loss = (k @ bank.features.t()).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
