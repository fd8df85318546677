"""A generator whose previous batch lives on while the next one is made."""
import torch


def batches(count):
    for _ in range(count):
        batch = torch.zeros(64, 1024, 1024, device="cuda")  # <- dead-local: batch
        yield batch.sum()


for value in batches(3):
    pass
