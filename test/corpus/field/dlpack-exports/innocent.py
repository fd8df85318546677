"""Inputs are handed to another library through DLPack; each exchange takes the place of the one before."""
import torch
from torch.utils.dlpack import to_dlpack

model = torch.nn.Linear(1024, 64).cuda().eval()
exported = {}

with torch.no_grad():
    for request in range(60):
        x = torch.randn(256, 1024, device="cuda")
        torch.relu(model(x)).sum().item()
        exported["last"] = to_dlpack(x)
print(len(exported))
