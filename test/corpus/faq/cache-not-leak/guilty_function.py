"""A large temporary that is gone: its memory stays in the allocator's cache."""
import torch


def work():
    return torch.zeros(512, 1024, 1024, device="cuda").sum()  # expect: cache-not-leak


work()
