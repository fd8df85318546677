"""What the traced process says of itself reaches the report, however much it is."""

import json
import re
import subprocess
import sys

from conftest import PYTHON, ROOT


def test_the_documents_are_made_of_the_table():
    done = subprocess.run([sys.executable, ROOT / "dev" / "fact_docs.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_keys_stand_in_the_table_alone():
    """A writer or reader that spells a key or a field by hand would not notice that the table says something else."""
    table = (ROOT / "contract" / "facts.def").read_text()
    keys = set(re.findall(r'^FACT\(\w+, "([^"]+)", (?:map|list|rows)', table, re.M))
    assert len(keys) >= 7
    found = []
    for folder in ("interpose", "cupti", "report", "tools"):
        for path in (ROOT / folder).rglob("*.cpp"):
            text = path.read_text()
            found += [(path.name, key) for key in keys if re.search(rf'(write|note|notes\.find|json_note)\([^)]*"{re.escape(key)}"', text)]
    assert not found


DEVICES = """
import ctypes
cuda = ctypes.CDLL("libcudart.so.12")
for device in range(12):
    assert cuda.cudaSetDevice(device) == 0
    assert cuda.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(1 << 20)) == 0
"""


def test_every_device_is_reported(traced):
    """Devices from the ninth on were left out, and the figures of eight were cut in the middle and ignored."""
    report = traced([PYTHON, "-c", DEVICES], sim="12x64MiB").report()
    assert [device["index"] for device in report["environment"]["devices"]] == list(range(12))
    ledger = {entry["device"]: entry for entry in report["ledger"]}
    assert sorted(ledger) == list(range(12))
    for entry in ledger.values():
        assert entry["total_bytes"] == 64 << 20 and entry["driver_used_bytes"] >= 1 << 20


TWICE = """
import torch

def first():
    return torch.empty(96 << 20, dtype=torch.uint8, device="cuda")

def second():
    return torch.empty(80 << 20, dtype=torch.uint8, device="cuda")

for attempt in (first, second):
    try:
        attempt()
    except torch.OutOfMemoryError:
        pass
"""


def test_the_report_of_the_second_out_of_memory_event_is_about_the_second(traced, vramtrack, tmp_path):
    run = traced(TWICE, sim="64MiB")
    (trace,) = run.traces()
    for n, (mib, function) in enumerate(((96, "first"), (80, "second")), start=1):
        shown = tmp_path / f"shown-{n}.json"
        assert vramtrack("report", trace, "--at", f"oom:{n}", "--format", "json", "-o", shown).returncode == 0
        for report in (run.oom(n), json.loads(shown.read_text())):
            (finding,) = [f for f in report["findings"] if f["code"] == "out-of-memory"]
            line = TWICE.splitlines().index(f"def {function}():") + 2
            assert (finding["line"], finding["bytes"]) == (line, mib << 20), finding
            assert f"{mib}.0 MiB" in finding["title"] + finding["message"], finding
