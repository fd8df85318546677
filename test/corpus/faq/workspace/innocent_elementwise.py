"""No matrix product, no workspace."""
import torch

x = torch.zeros(1024, 1024, device="cuda")
y = (x * 2 + 1).relu()
