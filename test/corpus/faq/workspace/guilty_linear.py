"""A matrix product makes cuBLAS's workspace."""
import torch
from torch import nn

print(nn.Linear(64, 64).cuda()(torch.randn(4, 64, device="cuda")).shape)  # expect: workspace
