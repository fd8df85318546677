"""Results are written by a pool of threads that is slower than the model: everything waits in the pool's queue."""
import concurrent.futures
import time

import torch
import torch.nn as nn


def write(name, result):
    time.sleep(0.03)
    return name, result.abs().mean().item()


def main():
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512)).cuda().eval()
    with torch.no_grad(), concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        for number in range(150):
            batch = torch.randn(128, 256, device="cuda")
            time.sleep(0.003)  # it is loaded
            pool.submit(write, number, model(batch))  # <- growing-site: pool
    print("written")


main()
