"""Workers that are joined, one of them ended before."""
import multiprocessing
import time

import torch


def worker(ready, seconds):
    held = torch.zeros(8, 1024, 1024, device="cuda")
    ready.release()
    time.sleep(seconds)
    del held


context = multiprocessing.get_context("fork")
ready = context.Semaphore(0)
workers = [context.Process(target=worker, args=(ready, seconds)) for seconds in (0, 120)]
try:
    for process in workers:
        process.start()
    for _ in workers:
        ready.acquire()
finally:
    workers[1].terminate()
    for process in workers:
        process.join()
