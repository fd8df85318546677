"""Data that is converted on the device before inference runs over it."""
import torch
from torch import nn

data = []
for i in range(100):
    raw = torch.randint(0, 255, (64, 3, 32, 32), dtype=torch.uint8).cuda()
    data.append(raw.float() / 255)
m = (
    nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    .cuda()
    .eval()
)
correct = 0
with torch.inference_mode():
    for x in data:
        correct += m(x).argmax(1).sum().item()
