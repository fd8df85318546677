"""An encoder caches what it made of each text with functools.lru_cache on its method."""
import functools

import torch
import torch.nn as nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(512, 512)

    @functools.lru_cache(maxsize=None)
    def encode(self, text):  # <- growing-site: encode
        with torch.no_grad():
            return self.body(torch.randn(64 + len(text), 512, device="cuda"))


encoder = Encoder().cuda()
for number in range(140):
    encoder.encode("document %d" % number).mean().item()
print(torch.cuda.memory_allocated() >> 20, "MiB")
