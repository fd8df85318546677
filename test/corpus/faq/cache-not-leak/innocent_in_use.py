"""All of it is in use."""
import torch

big = [torch.zeros(64, 1024, 1024, device="cuda") for _ in range(6)]
