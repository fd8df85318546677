"""Most of the device, but it fits."""
import torch

big = torch.empty(70, 256, 1024, 1024, device="cuda")
