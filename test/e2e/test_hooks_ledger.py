"""One process, many libraries: the report's ledger adds up to what the simulated driver says is used, exactly."""

import json

import pytest

from conftest import BUILD

MIB = 1 << 20

# Sizes are whole pages of the driver's (2 MiB; 32 MiB for a pool's chunk), so that nothing is lost to rounding.
SCRIPT = f"""
import ctypes, json, torch
from cuda.bindings import driver

def ok(answer):
    assert int(answer[0]) == 0, answer
    return answer[1] if len(answer) == 2 else answer[1:]

model = torch.nn.Linear(700, 700).cuda()
model(torch.ones(64, 700, device="cuda")).sum().backward()
held = [torch.empty(30 << 20, dtype=torch.uint8, device="cuda:%d" % d) for d in range(torch.cuda.device_count())]
torch.cuda.set_device(0)
of_bindings = [ok(driver.cuMemAlloc(4 << 20)), ok(driver.cuMemAlloc(6 << 20)), ok(driver.cuMemAllocAsync(32 << 20, 0))]
ok(driver.cuMemFree(ok(driver.cuMemAlloc(2 << 20))) + (None,))
pinned = ok(driver.cuMemHostAlloc(4096, 0))
plain = ctypes.CDLL({str(BUILD / "test" / "corpus" / "libclient_plain.so")!r})
plain.plain_alloc.restype = ctypes.c_void_p
plain.plain_alloc.argtypes = [ctypes.c_size_t]
of_plain = [plain.plain_alloc(10 << 20) for _ in range(3)]

class Figures(ctypes.Structure):     # sim/core/stats.h
    _fields_ = [("size", ctypes.c_uint32), ("device", ctypes.c_int32)] + [
        (name, ctypes.c_uint64) for name in ("total", "free", "used", "context", "pool_reserved", "graph_reserved")
    ] + [("live_bytes", ctypes.c_uint64 * 11), ("live_count", ctypes.c_uint64 * 11), ("rest", ctypes.c_uint64 * 2)]

def figures_of(device):
    figures = Figures(size=ctypes.sizeof(Figures))
    assert ctypes.CDLL("libcuda.so.1").vramtrack_sim_stats(device, ctypes.byref(figures)) == 0
    return {{
        "total": figures.total, "free": figures.free, "used": figures.used, "context": figures.context,
        "reserved": torch.cuda.memory_reserved(device), "allocated": torch.cuda.memory_allocated(device),
    }}
print(json.dumps([figures_of(device) for device in range(torch.cuda.device_count())]))
"""


@pytest.mark.torch
@pytest.mark.parametrize("allocator", ["", "expandable_segments:True", "backend:cudaMallocAsync"])
@pytest.mark.parametrize("devices", [1, 2])
def test_owners_add_up_to_the_drivers_used_bytes(devices, allocator, traced):
    run = traced(SCRIPT, sim=f"{devices}x8GiB", env={"PYTORCH_CUDA_ALLOC_CONF": allocator})
    assert run.code == 0, run.stderr
    report = run.report()
    figures = json.loads(run.stdout.splitlines()[-1])
    assert [ledger["device"] for ledger in report["ledger"]] == list(range(devices)) and len(figures) == devices
    for driver, ledger in zip(figures, report["ledger"]):
        first = ledger["device"] == 0
        owners = {owner["owner"]: owner["bytes"] for owner in ledger["owners"]}
        # PyTorch's cudaMallocAsync back end and cuda.bindings draw on the same pool of the driver: one's blocks are
        # part of what the other calls reserved.
        shared = 32 * MIB if first and "Async" in allocator else 0
        assert owners.pop("torch") == driver["reserved"] - shared
        assert owners.pop("cuda-bindings", 0) == (4 + 6 + 32) * MIB * first
        assert owners.pop("program", 0) == 3 * 10 * MIB * first
        # Whatever else asked for memory (cuBLAS takes its workspaces from PyTorch) is named too: nothing is left over.
        everything = sum(owner["bytes"] for owner in ledger["owners"])
        assert everything + driver["context"] == driver["used"] == driver["total"] - driver["free"]
        assert ledger["driver_used_bytes"] == driver["used"]
        assert ledger["context_and_other_bytes"] == driver["context"]
        assert ledger["tensors_live_bytes"] == driver["allocated"] - shared
        assert ledger["tensors_live_bytes"] + ledger["cached_bytes"] == driver["reserved"] - shared
        # The sites say the same, by call site: all but what PyTorch's pool keeps without a block.
        sites = [s for s in report["sites"] if s["layer"] == "cuda" and s["device"] == ledger["device"]]
        kept = ledger["cached_bytes"] if "Async" in allocator else 0
        assert sum(s["live_bytes"] for s in sites) == everything - kept
    assert {k: report["losses"][k] for k in ("dropped_events", "unknown_frees")} == {"dropped_events": 0, "unknown_frees": 0}
