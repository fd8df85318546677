"""A pool whose workers are ended by `with`."""
import multiprocessing

import numpy as np
import torch

torch.zeros(8, device="cuda")


def sample(index):
    return np.random.rand()


with multiprocessing.get_context("fork").Pool(2) as pool:  # <- duplicate-worker-rng: numpy.random
    print(pool.map(sample, range(40)))
    import time

    time.sleep(0.2)
