"""os.fork by hand, children end by os._exit."""
import os

import numpy as np
import torch

torch.zeros(8, device="cuda")
np.random.seed(1)
children = []
for _ in range(2):
    pid = os.fork()  # <- duplicate-worker-rng: numpy.random
    if pid == 0:
        np.random.permutation(100)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
