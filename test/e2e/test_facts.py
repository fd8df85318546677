"""What the traced process says of itself reaches the report, however much it is."""

import json
import os
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
            found += [(path.name, key) for key in keys if re.search(rf'(write|note|notes\.find|json_note|list_of|all_notes)\([^)]*"{re.escape(key)}"', text)]
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


AGENT = r"""
import gc, torch
x = torch.zeros(1024, device="cuda")
fact = next(o for o in gc.get_objects() if type(o) is type(len) and o.__name__ == "native_fact")
assert fact("state", {"step": 3, "live": "many", "blocks": -1, "tensors": 1 << 64, "complete": True, "later": 1}, 5)
assert fact("tensors", [((1 << 64) - 1, (2, 3), "float32", "bytes \udcff \"q\" \\", None, "", False), [], (4096,)], 5)
assert fact("cycles", [{"loop": "a -> b", "a": [1, "two", 3]}, 7], 5)
assert fact("agent_error", "said \udcff", 0)
assert not fact("unheard of", {}, 0)
for wrong in ((), ("state",), (1, 2, 3)):
    try:
        fact(*wrong)
    except (TypeError, IndexError):
        pass
    else:
        raise AssertionError(wrong)
"""


def notes_of(vramtrack, trace, n):
    dumped = vramtrack("dump", trace).stdout
    found = re.findall(rf'^note key="([^"]+)" n={n} value="((?:[^"\\]|\\.)*)"$', dumped, re.M)
    return {key: json.loads(json.loads(f'"{value}"')) for key, value in found}


def test_what_the_agent_writes_is_held_to_its_rows(traced, vramtrack):
    run = traced(AGENT)
    assert run.code == 0, run.stderr
    (trace,) = run.traces()
    assert notes_of(vramtrack, trace, 5) == {
        "state": {"step": 3, "live": None, "blocks": None, "tensors": None, "complete": True},
        "tensors": [[(1 << 64) - 1, [2, 3], "float32", 'bytes ? "q" \\', None, "", False], [], [4096]],
        "cycles": [{"loop": "a -> b", "a": [1, None, 3]}, None],
    }
    said = [note for note in run.report()["losses"]["notes"] if note.startswith("the Python agent: ")]
    assert said == [f"the Python agent: {what}" for what in (
        "fact state: live is not what its row says", "fact cycles: a is not what its row says", "said ?",
        "fact unheard of: the whole is not what its row says")]


def test_a_file_whose_name_is_no_text(traced, tmp_path):
    script = tmp_path / os.fsdecode(b"na\xffme.py")
    script.write_text("import torch\n\nkept = [torch.ones(1 << 20, device='cuda') for _ in range(3)]\n")
    run = traced([PYTHON, script])
    report = run.report()
    assert run.code == 0 and not [note for note in report["losses"]["notes"] if "agent" in note]
    assert {f"__main__.kept[{i}]" for i in range(3)} <= {a["tensor"]["holder"] for a in report["allocations"] if a["tensor"]}
