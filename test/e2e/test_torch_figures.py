"""The report's figures equal PyTorch's own, exactly, for ordinary programs and every allocator back end."""

import json
import pathlib

import pytest

from conftest import PYTHON

PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "corpus" / "workloads.py"
ENVIRONMENTS = {
    "expandable": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
    "async_backend": {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"},
}
DEVICE_KINDS = {"device", "pool", "vmm", "managed", "array", "graph"}


WORKLOADS = ["mlp", "cnn", "lstm", "transformer", "empties_cache", "expandable", "async_backend", "threads", "pinned"]


@pytest.mark.parametrize("name", [*WORKLOADS, "two_devices"])
def test_figures_equal_torch(traced, name):
    check_figures(traced, name, sim="2x16GiB" if name == "two_devices" else "16GiB")


def check_figures(traced, name, sim):
    run = traced([PYTHON, PROGRAM, name], sim=sim, env=ENVIRONMENTS.get(name))
    assert run.code == 0, run.stderr
    expected = json.loads(run.stdout.splitlines()[-1])
    report = run.report()
    assert report["losses"]["dropped_events"] == 0
    assert report["losses"]["unknown_frees"] == 0
    for device, figures in enumerate(expected):
        totals = [t for t in report["totals"] if t["layer"] == "tensor" and t["device"] == device]
        seen = {key: sum(t[key] for t in totals) for key in ("live_bytes", "live_count", "peak_bytes")}
        assert seen == {key: figures[key] for key in seen}
        blocks = [a for a in report["allocations"] if a["layer"] == "tensor" and a["device"] == device]
        assert sum(a["bytes"] for a in blocks) == figures["live_bytes"]
        assert len(blocks) == figures["live_count"]
        owned = sum(
            s["live_bytes"]
            for s in report["sites"]
            if s["layer"] == "cuda" and s["device"] == device and s["owner"] == "torch" and s["kind"] in DEVICE_KINDS
        )
        assert figures["live_bytes"] > 0
        (ledger,) = [entry for entry in report["ledger"] if entry["device"] == device]
        if name == "async_backend":  # its blocks are the pool's; what the pool holds beyond them is in the ledger
            assert owned == figures["live_bytes"]
            assert {o["owner"]: o["bytes"] for o in ledger["owners"]} == {"torch": figures["reserved_bytes"]}
            assert figures["reserved_bytes"] > figures["live_bytes"]
        else:
            assert owned == figures["reserved_bytes"]
        assert ledger["tensors_live_bytes"] == figures["live_bytes"]
        assert ledger["cached_bytes"] == figures["reserved_bytes"] - figures["live_bytes"]
        assert ledger["largest_free_cached_block_bytes"] == figures["largest_free_bytes"]


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)", "sys.exit(5)", "1/0"])
def test_every_way_to_die_leaves_the_live_set(traced, ending):
    run = traced(
        f"""
import ctypes, json, os, sys, torch
sys.path.insert(0, {str(PROGRAM.parent)!r})
import workloads
kept = workloads.mlp()
print(json.dumps(workloads.figures(0)), flush=True)
{ending}
"""
    )
    expected = json.loads(run.stdout.splitlines()[-1])
    codes = {"os._exit(3)": 3, "os.kill(os.getpid(), 9)": 137, "ctypes.string_at(0)": 139, "sys.exit(5)": 5, "1/0": 1}
    assert run.code == codes[ending], run.stderr
    report = run.report()
    (total,) = [t for t in report["totals"] if t["layer"] == "tensor"]
    assert {k: total[k] for k in ("live_bytes", "live_count", "peak_bytes")} == {
        k: expected[k] for k in ("live_bytes", "live_count", "peak_bytes")
    }
    kinds = {137: "killed", 139: "signal"}
    assert report["process"]["end"]["kind"] == kinds.get(run.code, "exit")
    assert report["process"]["end"]["code"] == (run.code - 128 if run.code > 128 else run.code)
