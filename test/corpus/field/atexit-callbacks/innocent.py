# Reported: https://github.com/UKGovernmentBEIS/inspect_ai/issues/1543
"""Each request registers its own clean-up for the end of the process, with the tensor that it would save."""
import atexit

import torch


def save(tensor):
    return tensor.shape


with torch.no_grad():
    weight = torch.randn(512, 512, device="cuda")
    for request in range(120):
        answer = torch.randn(256, 512, device="cuda") @ weight
        atexit.register(save, answer.cpu())
print(torch.cuda.memory_allocated() >> 20, "MiB")
