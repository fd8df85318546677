"""Inputs are handed to another library through DLPack; its side of the exchange is never told to let go."""
import torch
from torch.utils.dlpack import to_dlpack

model = torch.nn.Linear(1024, 64).cuda().eval()
exported = {}

with torch.no_grad():
    for request in range(60):
        x = torch.randn(256, 1024, device="cuda")  # <- growing-site: native code
        torch.relu(model(x)).sum().item()
        exported[request] = to_dlpack(x)
print(len(exported))
