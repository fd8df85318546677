"""The fix: each worker seeds itself."""
import multiprocessing

import numpy as np
import torch


def worker(index):
    np.random.seed(index)
    np.random.randn(1000)


np.random.seed(0)
torch.zeros(8, device="cuda")
context = multiprocessing.get_context("fork")
workers = [context.Process(target=worker, args=(i,)) for i in range(3)]
for process in workers:
    process.start()
for process in workers:
    process.join()
