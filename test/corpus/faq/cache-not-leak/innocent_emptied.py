"""The cache was given back."""
import torch

big = [torch.zeros(64, 1024, 1024, device="cuda") for _ in range(6)]
del big
torch.cuda.empty_cache()
