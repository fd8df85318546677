"""Outputs are collected in a NumPy array of objects, one for each image, until the end."""
import numpy as np
import torch
import torch.nn as nn

images = 120
model = nn.Linear(512, 512).cuda()
outputs = np.empty(images, dtype=object)
with torch.no_grad():
    for number in range(images):
        outputs[number] = model(torch.randn(256, 512, device="cuda"))  # <- growing-site: outputs
print(torch.cuda.memory_allocated() >> 20, "MiB")
