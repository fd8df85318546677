"""A pool whose workers are ended by `with`, which kills them."""
import multiprocessing
import time

import numpy as np
import torch

np.random.seed(7)
torch.zeros(8, device="cuda")


def prepare():
    global table
    table = np.random.rand(100)


def sample(index):
    time.sleep(0.05)
    return table[index]


with multiprocessing.get_context("fork").Pool(2, initializer=prepare) as pool:  # <- duplicate-worker-rng: numpy.random
    print(pool.map(sample, range(8), chunksize=1))
