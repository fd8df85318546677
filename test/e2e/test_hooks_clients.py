"""Real libraries as clients, one process at a time: what is recorded equals the simulated driver's own books."""

import re
import subprocess

import pytest

from conftest import PYTHON
from test_hooks import PROGRAMS, VRAMTRACK, sim_environment

BOOKS = """
import ctypes, sys
class Block(ctypes.Structure):
    _fields_ = [("address", ctypes.c_uint64), ("bytes", ctypes.c_uint64), ("serial", ctypes.c_uint64),
                ("kind", ctypes.c_uint32), ("device", ctypes.c_int32)]
VISIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Block), ctypes.c_void_p)
KINDS = ["device", "pool", "managed", "host_pinned", "array", "vmm", "graph", "ipc", "external", "registered", "module"]
def show(block, _):
    b = block.contents
    if KINDS[b.kind] not in ("module", "graph"):
        print("books", hex(b.address), KINDS[b.kind], b.bytes, b.device)
    return 0
def books():
    live = ctypes.CDLL("libcuda.so.1").vramtrack_sim_live
    live.restype = ctypes.c_uint64
    live(VISIT(show), None)
    sys.stdout.flush()
    import os
    os._exit(0)     # nothing is freed between the books and the end
"""

BINDINGS = """
from cuda.bindings import driver
def ok(answer):
    assert int(answer[0]) == 0, answer
    return answer[1] if len(answer) == 2 else answer[1:]
ok(driver.cuInit(0) + (None,))
context = ok(driver.cuDevicePrimaryCtxRetain(ok(driver.cuDeviceGet(0))))
ok(driver.cuCtxSetCurrent(context) + (None,))
kept = ok(driver.cuMemAlloc(1 << 20))
ok(driver.cuMemFree(ok(driver.cuMemAlloc(2 << 20))) + (None,))
pooled = ok(driver.cuMemAllocAsync(3 << 20, 0))
pinned = ok(driver.cuMemHostAlloc(4096, 0))
"""

PLAIN = """
runtime = ctypes.CDLL("libcudart.so.13")
pointer = ctypes.c_void_p()
assert runtime.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(5 << 20)) == 0
managed = ctypes.c_void_p()
assert runtime.cudaMallocManaged(ctypes.byref(managed), ctypes.c_size_t(1 << 20), 1) == 0
"""

TORCH = """
import torch
model = torch.nn.Linear(512, 512).cuda()
model(torch.ones(64, 512, device="cuda")).sum().backward()
host = torch.ones(1000).pin_memory()
"""


NUMBA = """
import numpy
from numba import cuda
kept = cuda.device_array(1 << 20, dtype=numpy.float32)
for _ in range(20):      # numba frees in batches
    gone = cuda.to_device(numpy.ones(1000))
pinned = cuda.pinned_array(4096, dtype=numpy.uint8)
managed = cuda.managed_array(1 << 16, dtype=numpy.uint8)
"""


NO_LOSSES = {"unknown_frees", "replaced_blocks", "dropped_events"}


def traced_equals_books(source, tmp_path, command=None, losses=NO_LOSSES, with_output=False, **changes):
    """`source`: Python text, which is run with BOOKS; or `command`, a program that shows the books itself. `losses`: the
    counters that must be 0."""
    if command is None:
        script = tmp_path / "script.py"
        script.write_text(BOOKS + source + "\nbooks()\n")
        command = [PYTHON, script]
    environment = {**sim_environment(tmp_path / "out"), **changes}
    done = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    books = {
        (int(address, 16), kind): (int(size), int(device))
        for address, kind, size, device in re.findall(r"^books (0x\w+) (\w+) (\d+) (-?\d+)$", done.stdout, re.M)
    }
    assert books
    (trace,) = (tmp_path / "out").glob("*.vtrace")
    text = subprocess.run([VRAMTRACK, "dump", trace], check=True, capture_output=True, text=True).stdout
    fields = [(line.split(" ", 2)[:2], dict(re.findall(r"(\w+)=(\S+)", line))) for line in text.splitlines()]
    sites = {words[1]: f for words, f in fields if words[0] == "site"}
    recorded = {}
    for words, f in fields:
        if words[0] == "block" and sites[f["site"]]["layer"] == "cuda":
            site = sites[f["site"]]
            recorded[int(f["address"], 16), site["kind"]] = (int(f["bytes"]), int(site["device"]))
    assert recorded.keys() == books.keys()
    for key, (size, device) in recorded.items():
        assert size == books[key][0]
        if key[1] not in ("host_pinned", "registered"):
            assert device == books[key][1]
    counted = next(f for words, f in fields if words[0] == "losses")
    assert {name: counted[name] for name in losses} == dict.fromkeys(losses, "0")
    return (recorded, done.stdout) if with_output else recorded


def kinds(recorded):
    return sorted(kind for _, kind in recorded)


def test_cuda_bindings_driver(tmp_path):
    assert kinds(traced_equals_books(BINDINGS, tmp_path)) == ["device", "host_pinned", "pool"]


def test_ctypes(tmp_path):
    assert kinds(traced_equals_books(PLAIN, tmp_path)) == ["device", "managed"]


def test_numba(tmp_path):
    assert {"device", "host_pinned", "managed"} <= set(kinds(traced_equals_books(NUMBA, tmp_path)))


@pytest.mark.parametrize(
    "program, expected",
    [
        ("client_driver", ["device", "host_pinned", "managed", "pool", "vmm"]),
        ("client_static", ["device", "device", "device", "host_pinned", "managed", "pool"]),
        ("client_dlopen", ["device", "device", "device", "host_pinned"]),
    ],
)
def test_cpp_program(program, expected, tmp_path):
    """Linked with -lcuda; with the runtime inside, as nvcc links by default; with dlopen alone."""
    assert kinds(traced_equals_books(None, tmp_path, [PROGRAMS / program])) == expected


def test_torch_bindings_and_a_plain_library_at_once(tmp_path):
    recorded = traced_equals_books(TORCH + BINDINGS + PLAIN, tmp_path)
    assert {"device", "host_pinned", "managed", "pool"} == set(kinds(recorded))


def test_torch_expandable_segments(tmp_path):
    """cuMemCreate and its kin, reached through cudaGetDriverEntryPointByVersion."""
    recorded = traced_equals_books(TORCH, tmp_path, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True")
    assert "vmm" in kinds(recorded)


def test_torch_async_allocator(tmp_path):
    recorded = traced_equals_books(TORCH, tmp_path, PYTORCH_CUDA_ALLOC_CONF="backend:cudaMallocAsync")
    assert "pool" in kinds(recorded)


def test_torch_async_allocator_out_of_memory_and_in_a_graph(traced):
    """Its refusals are PyTorch's; what a graph captured is the graph's memory, which PyTorch does not count."""
    run = traced(
        """
import torch
kept = torch.empty(1000, device="cuda")
big = [torch.empty(1 << 30, dtype=torch.uint8, device="cuda") for _ in range(3)]
try:
    torch.empty(2 << 30, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    pass
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    captured = torch.empty(5000, device="cuda")
graph.replay()
print(torch.cuda.memory_allocated(), torch.cuda.memory_reserved())
""",
        sim="4GiB",
        env={"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"},
    )
    assert run.code == 0, run.stderr
    allocated, reserved = map(int, run.stdout.split())
    report = run.report()
    (total,) = [t for t in report["totals"] if t["layer"] == "tensor"]
    assert total["live_bytes"] == allocated > 3 << 30
    graph = [a for a in report["allocations"] if a["kind"] == "graph"]
    assert 20000 in [a["bytes"] for a in graph]
    (oom,) = report["ooms"]
    assert (oom["layer"], oom["requested_bytes"]) == ("tensor", 2 << 30)
    assert oom["live_bytes"] == (3 << 30) + 4096 and oom["reserved_bytes"] == reserved > allocated
