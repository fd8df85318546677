"""The same, and only a few of the batches are looked at."""
import torch
from torch import nn

data = [torch.randint(0, 255, (64, 3, 32, 32), dtype=torch.uint8).cuda().float().div(255) for i in range(60)]
m = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 1024, 10)).cuda().eval()
with torch.inference_mode():
    for x in data[:8]:
        print(m(x).argmax(1).sum().item())
