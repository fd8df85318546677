"""One process, many libraries: the report's ledger adds up to what the simulated driver says is used, exactly."""

import json

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
held = torch.empty(30 << 20, dtype=torch.uint8, device="cuda")
of_bindings = [ok(driver.cuMemAlloc(4 << 20)), ok(driver.cuMemAlloc(6 << 20)), ok(driver.cuMemAllocAsync(32 << 20, 0))]
ok(driver.cuMemFree(ok(driver.cuMemAlloc(2 << 20))) + (None,))
pinned = ok(driver.cuMemHostAlloc(4096, 0))
plain = ctypes.CDLL({str(BUILD / "test" / "programs" / "libclient_plain.so")!r})
plain.plain_alloc.restype = ctypes.c_void_p
plain.plain_alloc.argtypes = [ctypes.c_size_t]
of_plain = [plain.plain_alloc(10 << 20) for _ in range(3)]

class Figures(ctypes.Structure):     # tools/sim/core/stats.h
    _fields_ = [("size", ctypes.c_uint32), ("device", ctypes.c_int32)] + [
        (name, ctypes.c_uint64) for name in ("total", "free", "used", "context", "pool_reserved", "graph_reserved")
    ] + [("live_bytes", ctypes.c_uint64 * 11), ("live_count", ctypes.c_uint64 * 11), ("rest", ctypes.c_uint64 * 2)]

figures = Figures(size=ctypes.sizeof(Figures))
assert ctypes.CDLL("libcuda.so.1").vramtrack_sim_stats(0, ctypes.byref(figures)) == 0
print(json.dumps({{
    "total": figures.total, "free": figures.free, "used": figures.used, "context": figures.context,
    "reserved": torch.cuda.memory_reserved(), "allocated": torch.cuda.memory_allocated(),
}}))
"""


def test_owners_add_up_to_the_drivers_used_bytes(traced):
    run = traced(SCRIPT, sim="8GiB")
    assert run.code == 0, run.stderr
    driver = json.loads(run.stdout.splitlines()[-1])
    report = run.report()
    (ledger,) = report["ledger"]
    owners = {owner["owner"]: owner["bytes"] for owner in ledger["owners"]}
    assert owners.pop("torch") == driver["reserved"]
    assert owners.pop("cuda-bindings") == (4 + 6 + 32) * MIB
    assert owners.pop("program") == 3 * 10 * MIB
    # Whatever else asked for memory (cuBLAS takes its workspaces from PyTorch) is named too: nothing is left over.
    everything = sum(owner["bytes"] for owner in ledger["owners"])
    assert everything + driver["context"] == driver["used"] == driver["total"] - driver["free"]
    assert ledger["driver_used_bytes"] == driver["used"]
    assert ledger["context_and_other_bytes"] == driver["context"]
    assert ledger["tensors_live_bytes"] == driver["allocated"]
    assert ledger["tensors_live_bytes"] + ledger["cached_bytes"] == driver["reserved"]
    # The sites say the same, by call site.
    sites = [s for s in report["sites"] if s["layer"] == "cuda" and s["device"] == 0]
    assert sum(s["live_bytes"] for s in sites) == everything
    assert {k: report["losses"][k] for k in ("dropped_events", "unknown_frees")} == {"dropped_events": 0, "unknown_frees": 0}
