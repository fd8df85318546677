"""Run by test_package.py under the tool and without it: what the Python interface says, as JSON."""

import json
import sys

import torch

import vramtrack

vramtrack.mark("before")  # allowed before anything lives
idle = vramtrack.live(), vramtrack.snapshot()
device = "cuda" if vramtrack.is_active() else "cpu"
kept = {}
with vramtrack.phase("load"):
    kept["weights"] = torch.zeros(5 << 20, dtype=torch.uint8, device=device)
torch.zeros(7 << 20, dtype=torch.uint8, device=device)  # freed at once: the peak
live = vramtrack.live()
figures = [torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()] if device == "cuda" else None
report = vramtrack.snapshot(sys.argv[1])
with vramtrack.phase("more"):
    kept["more"] = torch.zeros(1 << 20, dtype=torch.uint8, device=device)
again = vramtrack.snapshot()
print(json.dumps({
    "active": vramtrack.is_active(),
    "idle": idle[0].get("live_bytes"), "idle_snapshot": idle[1] is not None,
    "live": live,
    "torch": figures,
    "at": report and report.at,
    "first": report and [[a.bytes, a.holder] for a in report.allocations if a.layer == "tensor"],
    "again": again and sorted([a.bytes, a.holder] for a in again.allocations if a.layer == "tensor"),
    "ranges": again and {s.live_bytes: s.range for s in again.sites if s.layer == "tensor" and s.live_bytes},
    "line": report and str([s.line for s in report.sites if s.layer == "tensor"][0]),
}))
