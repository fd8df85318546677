"""The fix: del before the next large allocation."""
import torch


def run(inputs):
    result = torch.zeros((), device="cuda")
    for i in range(5):
        intermediate = inputs[i].repeat(8, 1)
        result += intermediate.sum()
        del intermediate
    work = torch.empty(64, 1024, 1024, device="cuda")
    return result + work.mean() + inputs.sum()


run(torch.randn(5, 1024, 1024, device="cuda"))
