"""One measured process, which works in turns: bench.py keeps one for each configuration and lets them take turns.

Usage: work.py RECORDER WORKLOAD...    RECORDER: none, python or all (PyTorch's own memory history)

For each workload it prints {"unit": "ns"|"us", "allocations": blocks handed out by a unit of work}; then each line "turn"
on stdin makes it work for one turn and print {"wall": median time of a unit, "best": least time (what a busy machine
disturbs least), "cpu": median CPU time of the whole process}, and the line "next" goes on to the next workload.
"""

import _thread
import ctypes
import gc
import json
import os
import random
import statistics
import sys
import threading
import time

import torch
from torch import nn

# Native frames of torch.empty, called by a new thread: directly, and by way of ctypes.
NATIVE_AT_LEAST, NATIVE_BY_CTYPES = 22, 34
EVENTS = ctypes.PyDLL(os.environ["VRAMTRACK_BENCH_EVENTS"])
EVENTS.bench_call_deeper.argtypes = [ctypes.c_int, ctypes.py_object]
EVENTS.bench_call_deeper.restype = ctypes.py_object


def at_depth(python, native, call):
    """Calls `call` in a new thread, where the loop has so many Python frames, and so many native ones below it."""
    done = threading.Lock()

    def deeper(left):
        if left > 0:
            return deeper(left - 1)
        if native < NATIVE_BY_CTYPES:
            return call() if native <= NATIVE_AT_LEAST else next(iter(call, ...))  # six frames of C
        return EVENTS.bench_call_deeper(native - NATIVE_BY_CTYPES, call)

    def outermost():
        try:
            deeper(python - 5)  # this one, one of deeper, `call`, take_turns and the loop
        finally:
            done.release()

    done.acquire()
    _thread.start_new_thread(outermost, ())
    done.acquire()


REPEATS, WARM_UP = 12, 3  # measured in one turn, after some that warm the caches: other processes had the core


def take_turns(unit, count, work, prepare=lambda: None):
    """Works whenever bench.py says so. `count` units are done in one `work`."""
    per_second = (1e9 if unit == "ns" else 1e6) / count
    while sys.stdin.readline().strip() == "turn":
        walls, cpus = [], []
        for _ in range(WARM_UP + REPEATS):
            prepare()
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            walls.append((time.perf_counter() - wall) * per_second)
            cpus.append((time.process_time() - cpu) * per_second)
        say({"wall": statistics.median(walls[WARM_UP:]), "best": min(walls[WARM_UP:]), "cpu": statistics.median(cpus[WARM_UP:])})


def say(figures):
    print(json.dumps(figures), flush=True)


def allocations(work):
    """How many blocks the caching allocator hands out in one `work`."""
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    work()
    return torch.cuda.memory_stats()["allocation.all.allocated"] - before


def alloc_loop(python, native, batch=500):
    def loop():
        empty = torch.empty
        for _ in range(batch):
            empty(1024, device="cuda")

    def run():
        say({"unit": "ns", "allocations": 1})
        at_depth(python, native, lambda: take_turns("ns", batch, loop))

    return run


def replace_blocks(count, batch=500):
    """A random one of `count` live blocks is freed and another allocated."""

    def run():
        kept = [torch.empty(128, device="cuda") for _ in range(count)]
        chooser = random.Random(count)

        def loop():
            empty = torch.empty
            for i in places:
                kept[i] = None
                kept[i] = empty(128, device="cuda")

        def chosen():
            nonlocal places
            places = [chooser.randrange(count) for _ in range(batch)]

        places = []
        say({"unit": "ns", "allocations": 1})
        take_turns("ns", batch, loop, chosen)
        kept.clear()
        torch.cuda.empty_cache()

    return run


def threads_loop(count, batch=2000):
    """alloc+free in threads at once; time for each event of all."""

    def run():
        def loop():
            empty = torch.empty
            for _ in range(batch // count):
                empty(1024, device="cuda")

        def together():
            threads = [threading.Thread(target=loop) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        say({"unit": "ns", "allocations": 1})
        take_turns("ns", batch // count * count, together)

    return run


def mean_square(out, _):
    return (out[0] if isinstance(out, tuple) else out).float().square().mean()


def next_token(out, data):
    return nn.functional.cross_entropy(out[:, :-1].flatten(0, 1), data[:, 1:].flatten())


def training(build, make_input, loss_of=mean_square, autocast=False):
    def run():
        torch.manual_seed(0)
        model = build().cuda()
        optimizer = torch.optim.AdamW(model.parameters())
        data = make_input()

        def step():
            optimizer.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
                loss = loss_of(model(data), data)
            loss.backward()
            optimizer.step()
            torch.cuda.synchronize()

        for _ in range(20):
            step()
        say({"unit": "us", "allocations": allocations(step)})
        take_turns("us", 1, step)

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


class GPT2(nn.Module):
    """As large as the smallest GPT-2: 124 million parameters."""

    def __init__(self, width=768, vocabulary=50257, context=1024):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(width, 12, 4 * width, activation="gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 12, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.token.weight
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context))

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.token(tokens) + self.position.weight[:length]
        return self.head(self.blocks(x, mask=self.mask[:length, :length], is_causal=True))


WORKLOADS = {
    "alloc, 5 Python + 28 native frames": alloc_loop(5, 28),
    "alloc, 5 Python + 60 native frames": alloc_loop(5, 60),
    "alloc, 24 Python + 22 native frames": alloc_loop(24, 22),
    "alloc, 24 Python + 28 native frames": alloc_loop(24, 28),
    "alloc, 24 Python + 60 native frames": alloc_loop(24, 60),
    "alloc, 60 Python + 28 native frames": alloc_loop(60, 28),
    "alloc, 60 Python + 60 native frames": alloc_loop(60, 60),
    "replace one of 1,000 blocks": replace_blocks(1000),
    "replace one of 100,000 blocks": replace_blocks(100_000),
    "alloc in 1 thread": threads_loop(1),
    "alloc in 2 threads": threads_loop(2),
    "alloc in 4 threads": threads_loop(4),
    "alloc in 8 threads": threads_loop(8),
    "step of an MLP": training(mlp, lambda: torch.randn(16, 64, device="cuda")),
    "step of a CNN": training(cnn, lambda: torch.randn(2, 3, 8, 8, device="cuda")),
    "step of an LSTM": training(
        lambda: nn.LSTM(32, 32, num_layers=2, batch_first=True), lambda: torch.randn(4, 12, 32, device="cuda")
    ),
    "step of a Transformer": training(transformer, lambda: torch.randn(2, 16, 64, device="cuda")),
    "step of a GPT-2 (small)": training(
        GPT2, lambda: torch.randint(50257, (12, 1024), device="cuda"), next_token, autocast=True
    ),
}


def main():
    recorder, names = sys.argv[1], sys.argv[2:]
    torch.set_num_threads(1)
    torch.empty(1, device="cuda")
    if recorder != "none":
        torch.cuda.memory._record_memory_history(stacks=recorder, context="all", max_entries=100_000)
    gc.collect()
    gc.freeze()
    gc.disable()
    for name in names:
        WORKLOADS[name]()


if __name__ == "__main__":
    main()
