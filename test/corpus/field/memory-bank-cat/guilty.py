"""A bank of embeddings for contrastive learning is made longer by torch.cat in each call; nothing bounds it."""
import torch
import torch.nn as nn


class Bank:
    def __init__(self):
        self.keys = torch.empty(0, 512, device="cuda")

    def add(self, keys):
        self.keys = torch.cat([self.keys, keys])  # <- growing-site: keys


bank = Bank()
encoder = nn.Linear(512, 512).cuda()
with torch.no_grad():
    for batch in range(120):
        keys = encoder(torch.randn(64, 512, device="cuda"))
        scores = keys @ bank.keys.T
        bank.add(keys)
print(torch.cuda.memory_allocated() >> 20, "MiB")
