"""A loop that keeps its outputs until the device is full."""
import torch


def collect(count):
    outputs = []
    for _ in range(count):
        outputs.append(torch.zeros(256, 1024, 1024, device="cuda"))  # <- out-of-memory: outputs
    return outputs


try:
    collect(1000)
except torch.cuda.OutOfMemoryError:
    print("out of memory")
