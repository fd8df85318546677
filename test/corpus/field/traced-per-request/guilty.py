# Reported: https://github.com/pytorch/pytorch/issues/43119
"""A function with a constant table is traced anew for each request and kept by the request's name."""
import torch

traced = {}


def serve(name):
    table = torch.randn(256, 512, device="cuda")
    example = torch.randn(512, device="cuda")
    traced[name] = torch.jit.trace(lambda x: table * x, (example,))  # <- growing-site: traced
    return traced[name](example).mean()


with torch.no_grad():
    for request in range(40):
        serve(f"request{request}")
print(torch.cuda.memory_allocated() >> 20, "MiB")
