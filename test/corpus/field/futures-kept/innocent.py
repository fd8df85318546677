# Reported: https://github.com/deep-learning-with-pytorch/dlwpt-code/issues/26
"""A server hands requests to a pool of threads and keeps every future to count the failed ones at the end."""
from concurrent.futures import ThreadPoolExecutor

import torch

weight = torch.randn(512, 512, device="cuda")


def work(number):
    with torch.no_grad():
        return torch.randn(256, 512, device="cuda") @ weight


def serve(requests):
    pending = []
    with ThreadPoolExecutor(2) as pool:
        for number in range(requests):
            future = pool.submit(work, number)
            pending.append(future.exception())
            del future
    print(torch.cuda.memory_allocated() >> 20, "MiB")
    return sum(error is not None for error in pending), pending


failed, kept = serve(150)
