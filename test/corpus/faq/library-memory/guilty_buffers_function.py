"""Buffers that NVIDIA's own bindings took from the driver, next to a small model."""
import torch
from cuda.bindings import driver


def reserve(count, size):
    buffers = []
    for _ in range(count):
        error, pointer = driver.cuMemAlloc(size)  # <- library-memory: -
        assert int(error) == 0, error
        buffers.append(pointer)
    return buffers


model = torch.nn.Linear(64, 64).cuda()
buffers = reserve(4, 64 << 20)
print(len(buffers), torch.cuda.memory_allocated())
