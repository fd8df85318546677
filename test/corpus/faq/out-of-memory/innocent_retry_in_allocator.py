"""The first attempt fails inside the allocator, which empties its cache and succeeds."""
import torch

small = [torch.empty(1, 256, 1024, 1024, device="cuda") for _ in range(60)]
del small
big = torch.empty(70, 256, 1024, 1024, device="cuda")
