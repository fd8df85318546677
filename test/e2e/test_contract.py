"""The JSON report of runs of different kinds, held against what is promised of every report: keys, orders, sums, the
versions of what ran. docs/report.schema.json says what a report may look like; this says what must be in it."""

import json
import platform
import re

import jsonschema
import pytest

from conftest import ROOT

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
KEYS = {
    "process": "pid ppid command executable hostname started_at ended_at duration rank local_rank world_size forked_from end",
    "environment": "python torch cuda_runtime cuda_driver simulated devices",
    "totals": "layer device kind live_bytes live_count peak_bytes peak_at_time allocated_bytes allocated_count"
    " freed_bytes freed_count",
    "ledger": "device total_bytes driver_used_bytes tensors_live_bytes cached_bytes largest_free_cached_block_bytes"
    " owners context_and_other_bytes",
    "steps": "count source",
    "sites": "id layer kind device owner live_bytes live_count largest_bytes peak_bytes allocated_bytes allocated_count"
    " first_time last_time verdict growth backward_of stack",
    "allocations": "address bytes layer kind device stream site time step thread tensor",
    "frames": "kind function file line module inlined source",
    "timeline": "time step layer device live_bytes reserved_bytes",
    "ooms": "n time device layer requested_bytes stack live_bytes reserved_bytes",
    "findings": "code severity title message site file line variable bytes evidence fix docs",
    "losses": "dropped_events unresolved_frames unknown_frees torn_records notes",
}
TRAINS = """
import torch
device = "cuda:%d" % (torch.cuda.device_count() - 1)
layer = torch.nn.Linear(128, 128).to(device)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
kept = []
for _ in range(12):
    layer(torch.ones(16, 128, device=device)).sum().backward()
    optimizer.step()
    kept.append(torch.ones(5000, device=device))
host = torch.ones(1000).pin_memory()
try:
    torch.empty(100 << 30, dtype=torch.uint8, device=device)
except RuntimeError:  # OutOfMemoryError is one, and without a cache it is a plain one
    pass
"""
KILLED = TRAINS + "import os; os.kill(os.getpid(), 9)\n"
CASES = {
    "plain": (TRAINS, (), {}),
    "two devices": (TRAINS, ("--sim=2x24GiB",), {}),
    "expandable": (TRAINS, (), {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
    "cudaMallocAsync": (TRAINS, (), {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}),
    "no cache": (TRAINS, (), {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}),
    "no agent": (TRAINS, ("--no-agent",), {}),
    "no stacks": (TRAINS, ("--no-python", "--no-native"), {}),
    "history": (TRAINS, ("--history",), {}),
    "killed": (KILLED, (), {}),
    "rank": (TRAINS, (), {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}),
}


def check(report):
    jsonschema.validate(report, SCHEMA)
    assert report["schema"] == "vramtrack-report/1"
    for name, keys in KEYS.items():
        for entry in report[name] if isinstance(report[name], list) else [report[name]]:
            assert set(keys.split()) <= entry.keys(), name
    sites = report["sites"]
    assert sites == sorted(sites, key=lambda site: (-site["live_bytes"], site["stack"]))
    places = {site["id"]: index for index, site in enumerate(sites)}
    blocks = report["allocations"]
    assert [b["bytes"] for b in blocks] == sorted((b["bytes"] for b in blocks), reverse=True)
    assert all(block["site"] in places and re.fullmatch("0x[0-9a-f]+", block["address"]) for block in blocks)
    frames = range(len(report["frames"]))
    assert all(i in frames for site in sites for i in [*site["stack"], *(site["backward_of"] or [])])
    for layer, device in {(t["layer"], t["device"]) for t in report["totals"]}:
        def live(entries, what):
            return sum(e[what] for e in entries if (e["layer"], e["device"]) == (layer, device))

        assert live(report["totals"], "live_bytes") == live(sites, "live_bytes") == live(blocks, "bytes")
        assert live(report["totals"], "live_count") == live(sites, "live_count")
    for ledger in report["ledger"]:
        if ledger["driver_used_bytes"] is not None:
            owned = sum(owner["bytes"] for owner in ledger["owners"])
            assert owned + ledger["context_and_other_bytes"] == ledger["driver_used_bytes"]
    for finding in report["findings"]:
        assert (ROOT / finding["docs"].partition("#")[0]).is_file()


@pytest.mark.parametrize("case", CASES)
def test_report(case, traced):
    script, options, variables = CASES[case]
    run = traced(script, *options, env=variables, **({"sim": None} if "--sim=2x24GiB" in options else {}))
    assert run.code == (137 if case == "killed" else 0), run.stderr
    report = run.report()
    check(report)
    process, environment = report["process"], report["environment"]
    assert process["end"] == {"kind": "killed", "code": 9} if case == "killed" else {"kind": "exit", "code": 0}
    for moment in ("started_at", "ended_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", process[moment])
    assert process["started_at"] < process["ended_at"] and process["duration"] > 0
    ranks = tuple(process[name] for name in ("rank", "local_rank", "world_size"))
    assert ranks == ((3, 1, 8) if case == "rank" else (None, None, None))
    if case != "no agent":
        import torch

        assert (environment["python"], environment["torch"]) == (platform.python_version(), torch.__version__)
        assert report["steps"] == {"count": 12, "source": "optimizer"}
    if case in ("plain", "no cache"):  # without PyTorch's cache its CUDA memory is the tensors, and judged as such
        layer = "tensor" if case == "plain" else "cuda"
        assert any(s["verdict"] == "growing" and s["layer"] == layer and s["live_count"] == 12 for s in report["sites"])
        assert (report["ledger"][0]["cached_bytes"] > 0) == (case == "plain")
    assert environment["cuda_runtime"] == "13.0" and environment["simulated"] is True
    assert len(report["ooms"]) == 1 and report["ooms"][0]["requested_bytes"] == 100 << 30
