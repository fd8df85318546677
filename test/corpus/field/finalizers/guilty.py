# Reported: https://github.com/DiamondLightSource/httomo/pull/265
"""Each block that a reader hands out gets a finalizer with the buffer to give back, but the reader itself never goes."""
import weakref

import torch


class Reader:
    pass


def give_back(buffer):
    return buffer.shape


reader = Reader()
with torch.no_grad():
    for block in range(120):
        buffer = torch.randn(256, 512, device="cuda")
        mean = buffer.mean(0)
        weakref.finalize(reader, give_back, buffer)  # <- growing-site: finalize
print(torch.cuda.memory_allocated() >> 20, "MiB")
