"""Buffers of a thread are kept in a threading.local, by request instead of by size."""
import threading

import torch

local = threading.local()
weight = torch.randn(512, 512, device="cuda")


def scratch(request):
    if not hasattr(local, "buffers"):
        local.buffers = {}
    if request not in local.buffers:
        local.buffers[request] = torch.empty(128, 512, device="cuda")  # <- growing-site: buffers
    return local.buffers[request]


def work(requests):
    with torch.no_grad():
        for request in range(requests):
            torch.mm(torch.randn(128, 512, device="cuda"), weight, out=scratch(request))


work(130)
print(torch.cuda.memory_allocated() >> 20, "MiB")
