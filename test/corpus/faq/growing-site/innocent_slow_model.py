"""A model that is moved layer by layer, slowly, and used once."""
import time
import torch
from torch import nn

layers = []
for i in range(40):
    layers.append(nn.Linear(512, 512).cuda())
    time.sleep(0.03)
m = nn.Sequential(*layers)
m(torch.zeros(64, 512, device="cuda")).sum().backward()
