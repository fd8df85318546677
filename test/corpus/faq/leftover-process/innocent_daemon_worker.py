"""A daemon worker: multiprocessing ends it with its parent."""
import multiprocessing
import time

import torch


def worker(ready):
    held = torch.zeros(8, 1024, 1024, device="cuda")
    ready.set()
    time.sleep(120)
    del held


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    context.Process(target=worker, args=(ready,), daemon=True).start()
    ready.wait()
