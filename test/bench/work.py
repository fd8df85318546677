"""One measured process: runs the workloads named on the command line and prints {name: figures} as JSON, last line.

Usage: work.py RECORDER SECONDS WORKLOAD...    RECORDER: none, python or all (PyTorch's own memory history)
Figures, per unit of work: {"unit": "ns"|"us", "allocations": blocks handed out, "wall": median time, "best": least time
(what a busy machine disturbs least), "cpu": median CPU time of the whole process}
"""

import functools
import gc
import json
import statistics
import sys
import time

import torch
from torch import nn


def at_depth(python, reentries, call):
    """Calls `call` with this many more Python frames, and this many returns into the interpreter by way of C."""
    if python > 0:
        return at_depth(python - 1, reentries, call)
    if reentries > 0:
        return functools.partial(at_depth, 0, reentries - 1, call)()
    return call()


def repeat_for(seconds, work, per_second):
    """Calls `work` until the time is up. Figures in units of which a second has `per_second`."""
    walls, cpus = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(walls) < 5:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        walls.append((time.perf_counter() - wall) * per_second)
        cpus.append((time.process_time() - cpu) * per_second)
    return {"wall": statistics.median(walls), "best": min(walls), "cpu": statistics.median(cpus)}


def allocations(work):
    """How many blocks the caching allocator hands out in one `work`."""
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    work()
    return torch.cuda.memory_stats()["allocation.all.allocated"] - before


def alloc_loop(python, reentries, batch=500):
    def loop():
        empty = torch.empty
        for _ in range(batch):
            empty(1024, device="cuda")

    return lambda seconds: {
        "unit": "ns",
        "allocations": 1,
        **at_depth(python, reentries, lambda: repeat_for(seconds, loop, 1e9 / batch)),
    }


def live_set(count):
    """alloc+free while `count` other blocks live."""

    def run(seconds):
        kept = [torch.empty(128, device="cuda") for _ in range(count)]
        figures = alloc_loop(3, 0)(seconds)
        del kept
        torch.cuda.empty_cache()
        return figures

    return run


def training(build, make_input):
    def run(seconds):
        torch.manual_seed(0)
        model = build().cuda()
        optimizer = torch.optim.AdamW(model.parameters())
        data = make_input()

        def step():
            optimizer.zero_grad()
            out = model(data)
            loss = (out[0] if isinstance(out, tuple) else out).float().square().mean()
            loss.backward()
            optimizer.step()

        for _ in range(20):
            step()
        count = allocations(step)
        return {"unit": "us", "allocations": count, **repeat_for(seconds, step, 1e6)}

    return run


def mlp():
    return nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.ReLU())])


def cnn():
    parts = []
    for i in range(4):
        parts += [nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(8 * 64, 10))


def transformer():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, dropout=0.1), 4)


WORKLOADS = {
    "alloc, 5 Python frames": alloc_loop(0, 0),
    "alloc, 24 Python frames": alloc_loop(17, 2),
    "alloc, 60 Python frames": alloc_loop(45, 10),
    "alloc, 1,000 blocks live": live_set(1000),
    "alloc, 100,000 blocks live": live_set(100_000),
    "step of an MLP": training(mlp, lambda: torch.randn(16, 64, device="cuda")),
    "step of a CNN": training(cnn, lambda: torch.randn(2, 3, 8, 8, device="cuda")),
    "step of an LSTM": training(
        lambda: nn.LSTM(32, 32, num_layers=2, batch_first=True), lambda: torch.randn(4, 12, 32, device="cuda")
    ),
    "step of a Transformer": training(transformer, lambda: torch.randn(2, 16, 64, device="cuda")),
}


def main():
    recorder, seconds, names = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    torch.empty(1, device="cuda")
    if recorder != "none":
        torch.cuda.memory._record_memory_history(stacks=recorder, context="all", max_entries=100_000)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps({name: WORKLOADS[name](seconds) for name in names}))


if __name__ == "__main__":
    main()
