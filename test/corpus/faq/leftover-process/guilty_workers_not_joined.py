"""The parent leaves by os._exit after an error: nobody joins or ends the worker."""
import multiprocessing
import os
import time

import torch


def worker(ready):
    held = [torch.zeros(8, 1024, 1024, device="cuda") for _ in range(4)]  # <- leftover-process: pid
    ready.set()
    time.sleep(120)
    held.clear()


def main():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    context.Process(target=worker, args=(ready,)).start()
    ready.wait()
    try:
        raise RuntimeError("the training failed")
    except RuntimeError:
        os._exit(3)


main()
