"""Own worker processes that draw from NumPy's global generator."""
import multiprocessing

import numpy as np
import torch


def worker(queue):
    queue.put(np.random.randn(1000).sum())


def main():
    np.random.seed(0)
    torch.zeros(8, device="cuda")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=worker, args=(queue,)) for _ in range(3)]
    for process in workers:
        process.start()  # <- duplicate-worker-rng: numpy.random
    print(len({queue.get() for _ in workers}), "different")
    for process in workers:
        process.join()


main()
