"""Ordinary PyTorch programs. `workloads.py NAME` runs one and prints PyTorch's own memory figures as JSON, last.

The tests compare these figures with the report of the same process. Everything stays referenced by globals, so that
the live set at exit is not empty.
"""

import ctypes
import json
import sys
import threading

import torch
from torch import nn

STEPS = 6


def train(model, make_input, loss_of, device="cuda", steps=STEPS, autocast=False, optimizer=torch.optim.AdamW):
    model.to(device)
    chosen = optimizer(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cuda", enabled=autocast)
    for _ in range(steps):
        chosen.zero_grad()
        with torch.autocast("cuda", enabled=autocast):
            loss = loss_of(model(make_input()))
        scaler.scale(loss).backward()
        scaler.step(chosen)
        scaler.update()
    return model, chosen, loss


def mean(output):
    return (output[0] if isinstance(output, tuple) else output).float().mean()


def mlp():
    return train(nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 8)), lambda: torch.randn(32, 256, device="cuda"), mean)


def cnn():
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    return train(layers, lambda: torch.randn(4, 3, 32, 32, device="cuda"), mean, optimizer=torch.optim.SGD)


def lstm():
    return train(nn.LSTM(64, 128, num_layers=2, batch_first=True), lambda: torch.randn(8, 20, 64, device="cuda"), mean)


def transformer():
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    return train(nn.TransformerEncoder(layer, 3), lambda: torch.randn(4, 32, 128, device="cuda"), mean, autocast=True)


def empties_cache():
    held = [torch.empty(3 << 20, device="cuda") for _ in range(4)]
    big = torch.empty(200 << 20, dtype=torch.uint8, device="cuda")
    del big
    held.pop()
    torch.cuda.empty_cache()
    return held, mlp()


def blocks_with_gaps(*mebibytes):
    """Every second block is freed again: the cache keeps it."""
    blocks = [torch.empty(n << 20, dtype=torch.uint8, device="cuda") for n in mebibytes]
    return blocks[::2]


def expandable():
    return mlp(), blocks_with_gaps(1, 5, 30, 70, 9)


def async_backend():
    assert torch.cuda.get_allocator_backend() == "cudaMallocAsync"
    return mlp(), blocks_with_gaps(1, 5, 30)


def two_devices():
    kept = []
    for index in (0, 1):
        device = f"cuda:{index}"
        kept.append(train(nn.Linear(64 << index, 64), lambda: torch.randn(8, 64 << index, device=device), mean, device))
    kept.append(kept[0][2].to("cuda:1"))
    return kept


def threads():
    kept = [[] for _ in range(6)]

    def work(slot):
        for i in range(200):
            slot.append(torch.empty(1000 * (i % 17 + 1), device="cuda"))
            if i % 3:
                slot.pop(0)

    running = [threading.Thread(target=work, args=(slot,)) for slot in kept]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return kept


def pinned():
    data = torch.utils.data.TensorDataset(torch.randn(64, 16), torch.zeros(64))
    loader = torch.utils.data.DataLoader(data, batch_size=16, pin_memory=True)
    return [x.to("cuda", non_blocking=True) for x, _ in loader], torch.empty(1 << 20).pin_memory()


WORKLOADS = [mlp, cnn, lstm, transformer, empties_cache, expandable, async_backend, two_devices, threads, pinned]


class SimBlock(ctypes.Structure):  # sim/core/stats.h
    _fields_ = [("address", ctypes.c_uint64), ("bytes", ctypes.c_uint64), ("serial", ctypes.c_uint64),
                ("kind", ctypes.c_uint32), ("device", ctypes.c_int32)]  # fmt: skip


def pool_blocks(device):
    """Live blocks of the device's pools by the simulated driver's books: of its cudaMallocAsync blocks, PyTorch counts
    only the bytes."""
    pool, found = 1, []
    visit = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(SimBlock), ctypes.c_void_p)

    def see(block, _):
        found.append((block.contents.kind, block.contents.device))
        return 0

    ctypes.CDLL("libcuda.so.1").vramtrack_sim_live(visit(see), None)
    return found.count((pool, device))


def figures(device):
    stats = torch.cuda.memory_stats(device)
    native = torch.cuda.get_allocator_backend() == "native"  # the other one counts no blocks, and has no snapshot
    free = [
        block["size"]
        for segment in (torch.cuda.memory_snapshot() if native else [])
        for block in segment["blocks"]
        if segment["device"] == device and block["state"] == "inactive"
    ]
    return {
        "largest_free_bytes": max(free, default=0),
        "live_bytes": stats["allocated_bytes.all.current"],
        "live_count": stats["allocation.all.current"] if native else pool_blocks(device),
        "peak_bytes": stats["allocated_bytes.all.peak"],
        "reserved_bytes": stats["reserved_bytes.all.current"],
    }


if __name__ == "__main__":
    kept = {function.__name__: function for function in WORKLOADS}[sys.argv[1]]()
    print(json.dumps([figures(device) for device in range(torch.cuda.device_count())]))
