"""Every local is read again, some only on one path."""
import torch


def run(flag):
    first = torch.zeros(32, 1024, 1024, device="cuda")
    second = torch.zeros(32, 1024, 1024, device="cuda")
    work = torch.empty(64, 1024, 1024, device="cuda")
    try:
        value = work.sum()
    except RuntimeError:
        value = second.sum()
    return value + (first.sum() if flag else second.sum())


run(True)
