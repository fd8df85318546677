"""More than the device holds, one after another."""
import torch

for _ in range(4):
    big = torch.empty(40, 256, 1024, 1024, device="cuda")
    del big
