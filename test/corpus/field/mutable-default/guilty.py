# Reported: https://github.com/hitomi-team/sukima/issues/5
"""A function gathers scores in a list that is its default argument: one list for all calls."""
import torch


def score(x, weight, seen=[]):
    seen.append(x @ weight)  # <- growing-site: seen
    return float(seen[-1].sum())


with torch.no_grad():
    weight = torch.randn(512, 512, device="cuda")
    for request in range(120):
        score(torch.randn(256, 512, device="cuda"), weight)
print(torch.cuda.memory_allocated() >> 20, "MiB")
