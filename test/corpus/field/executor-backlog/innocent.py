# Reported: https://github.com/fastai/fastai/pull/262
"""Pictures are saved by one thread, which is slower than the model that makes them: work piles up in the executor."""
import concurrent.futures
import threading

import torch
import torch.nn as nn

gate = threading.Semaphore(0)


def save(picture):
    gate.acquire()
    return picture.mean().item()


saver = concurrent.futures.ThreadPoolExecutor(1)
model = nn.Linear(512, 512).cuda()
with torch.no_grad():
    for number in range(160):
        gate.release()
        saver.submit(save, model(torch.randn(256, 512, device="cuda"))).result()
        if number % 4 == 0:
            gate.release()
print(torch.cuda.memory_allocated() >> 20, "MiB")
gate.release(160)
saver.shutdown(cancel_futures=True)
