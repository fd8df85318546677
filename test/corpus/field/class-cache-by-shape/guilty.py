# Reported: https://github.com/NVIDIA/TensorRT-LLM/pull/16940
"""Masks are cached per batch shape in a dict of the class; in serving nearly every shape is new."""
import torch


class Attention:
    masks = {}

    def mask(self, batch, length):
        key = (batch, length)
        if key not in Attention.masks:
            Attention.masks[key] = torch.ones(batch, length, length, device="cuda")  # <- growing-site: masks
        return Attention.masks[key]

    def __call__(self, x):
        batch, length, _ = x.shape
        return self.mask(batch, length) @ x


attention = Attention()
with torch.no_grad():
    for request in range(130):
        attention(torch.randn(2, 128 + request, 64, device="cuda"))
print(torch.cuda.memory_allocated() >> 20, "MiB")
