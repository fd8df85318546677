"""Python's own random is reseeded in each child; NumPy's is not touched."""
import multiprocessing
import random

import numpy
import torch


def worker():
    random.random()


torch.zeros(8, device="cuda")
numpy.random.rand()
context = multiprocessing.get_context("fork")
workers = [context.Process(target=worker) for _ in range(3)]
for process in workers:
    process.start()
for process in workers:
    process.join()
