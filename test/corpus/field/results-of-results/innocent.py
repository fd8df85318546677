"""The image that a result was made of is put on the result as an attribute, and results are put on their successors."""
import torch
import torch.nn as nn

model = nn.Linear(512, 512).cuda()
image = torch.randn(256, 512, device="cuda")
with torch.no_grad():
    for step in range(100):
        result = torch.tanh(model(image))
        result.made_of = tuple(image.shape)
        image = result
print(torch.cuda.memory_allocated() >> 20, "MiB")
