"""A module-level dict fills the device; the error ends the script."""
import torch

cache = {}
for i in range(1000):
    cache[i] = torch.zeros(256, 1024, 1024, device="cuda")  # <- out-of-memory: cache
