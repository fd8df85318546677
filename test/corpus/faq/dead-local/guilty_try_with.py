"""Below try and with: a list of parts that were already joined."""
import contextlib

import torch


def load(path):
    with contextlib.nullcontext(path):
        try:
            parts = [torch.zeros(16, 1024, 1024, device="cuda") for _ in range(4)]  # <- dead-local: parts
            joined = torch.cat(parts)
        except OSError:
            joined = None
        return reduce(joined)


def reduce(joined):
    return (joined * 2).sum()


load("data")
