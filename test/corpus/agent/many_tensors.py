"""100,000 live tensors at exit. Prints how long the agent's exit analysis took and what it added to the peak of the
process's memory: handlers run last in, first out, and the agent registers at the first CUDA allocation."""
import atexit
import json
import resource
import time

import torch


def after():
    print(json.dumps({"seconds": time.process_time() - started, "kilobytes":
                      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak}), flush=True)


def before():
    global started, peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()


atexit.register(after)
torch.zeros(1, device="cuda")
for _ in range(3):
    pass
storage = torch.zeros(1000, 128, device="cuda")
tensors = [storage[i % 1000] for i in range(100000)]
atexit.register(before)
