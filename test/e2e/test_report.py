"""The report of real runs: valid against its schema, the same after a round trip, and right where PyTorch knows too."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import typing

import jsonschema
import pytest

from conftest import BUILD, ROOT, VRAMTRACK

sys.path.append(str(ROOT / "python"))
from vramtrack import _process as vramtrack_process  # noqa: E402
from vramtrack import report as vramtrack_report  # noqa: E402

SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_schema_and_field_list_follow_from_the_table():
    done = subprocess.run([sys.executable, ROOT / "dev" / "report_docs.py", "--check"], capture_output=True, text=True,
                          env={**os.environ, "VRAMTRACK_BUILD": str(BUILD)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name, path", [
    ("Frame", "frames"), ("Total", "totals"), ("Site", "sites"), ("Allocation", "allocations"), ("Holder", "holders"),
    ("Finding", "findings")])
def test_python_objects_have_fields_that_the_report_has(name, path):
    """No list of fields of its own: each is a key of the report, may be None where the key may, and has its type."""
    keys = SCHEMA["properties"][path]["items"]["properties"]
    kinds = {"integer": int, "number": float, "string": str, "boolean": bool, "array": list, "object": dict}
    for field in dataclasses.fields(getattr(vramtrack_report, name)):
        key = keys[field.name]
        types = key.get("type", ["string", "null"] if None in key.get("enum", ()) else "string")
        types = {types} if isinstance(types, str) else set(types)
        hint = typing.get_type_hints(getattr(vramtrack_report, name))[field.name]
        args = typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
        plain = {typing.get_origin(one) or one for one in args}
        assert "null" not in types or type(None) in plain, field.name
        assert plain & {kinds[one] for one in types - {"null"}} or field.name == "address", (field.name, hint, types)


def test_the_python_interface_knows_every_kind():
    rows = re.findall(r"^KIND\((\w+), (\d+),", (ROOT / "contract" / "kinds.def").read_text(), re.M)
    assert {int(value): name for name, value in rows} | {255: "all"} == vramtrack_process._KINDS


TRAINING = """
import json, sys, torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(x)))

net = nn.Sequential(*[Block(64) for _ in range(3)]).cuda()
optimizer = torch.optim.AdamW(net.parameters())
kept = []
for step in range(25):
    loss = net(torch.randn(16, 64, device="cuda")).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    kept.append(torch.ones(1000, device="cuda"))  # leak
stats = torch.cuda.memory_stats()
print(json.dumps({key: stats[key] for key in (
    "allocated_bytes.all.current", "allocation.all.current", "allocated_bytes.all.peak", "reserved_bytes.all.current")}))
"""
LEAK_LINE = TRAINING.splitlines().index('    kept.append(torch.ones(1000, device="cuda"))  # leak') + 1


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """One traced run for all tests of this file that only read."""
    return {}


@pytest.fixture
def run(training, traced):
    if "run" not in training:
        training["run"] = traced(TRAINING)
        assert training["run"].code == 0, training["run"].stderr
    return training["run"]


def test_validates_and_says_what_pytorch_says(run):
    report = run.report()
    VALIDATOR.validate(report)
    stats = json.loads(run.stdout)
    total = next(t for t in report["totals"] if t["layer"] == "tensor" and t["device"] == 0)
    assert total["live_bytes"] == stats["allocated_bytes.all.current"]
    assert total["live_count"] == stats["allocation.all.current"]
    assert total["peak_bytes"] == stats["allocated_bytes.all.peak"]
    torch_owned = sum(
        s["live_bytes"] for s in report["sites"] if s["layer"] == "cuda" and s["owner"] == "torch" and s["device"] == 0
    )
    assert torch_owned == stats["reserved_bytes.all.current"]
    assert sum(s["live_bytes"] for s in report["sites"] if s["layer"] == "tensor") == total["live_bytes"]
    ledger = report["ledger"][0]
    assert ledger["tensors_live_bytes"] + ledger["cached_bytes"] == torch_owned
    owners = sum(o["bytes"] for o in ledger["owners"] if o["owner"] != "torch")
    assert (
        ledger["driver_used_bytes"]
        == ledger["tensors_live_bytes"] + ledger["cached_bytes"] + owners + ledger["context_and_other_bytes"]
    )


def test_the_leak_and_only_it_is_growing(run):
    report = run.report()
    growing = [s for s in report["sites"] if s["verdict"] == "growing"]
    assert len(growing) == 1
    own = [report["frames"][i] for i in growing[0]["stack"] if report["frames"][i]["kind"] == "python"][0]
    assert own["line"] == LEAK_LINE
    assert "kept.append" in own["source"]
    assert growing[0]["live_count"] == 25
    assert growing[0]["growth"]["bytes_per_step"] == pytest.approx(4096, rel=0.1)


def test_native_frames_have_names_and_no_interpreter(run):
    report = run.report()
    names = {f["function"] for f in report["frames"] if f["kind"] == "native"}
    assert any("at::" in name for name in names)
    assert not any("_PyEval_EvalFrameDefault" in name for name in names)
    unresolved = [f for f in report["frames"] if f["function"].startswith("+0x")]
    assert len(unresolved) < len(report["frames"]) / 10


def test_every_moment_and_format_from_the_trace(run, vramtrack):
    (trace,) = run.traces()
    for moment in ("exit", "peak", "live"):
        completed = vramtrack("report", trace, "--format", "json", "--at", moment)
        assert completed.returncode == 0, completed.stderr
        report = json.loads(completed.stdout)
        VALIDATOR.validate(report)
        assert report["at"] == moment
    peak = json.loads(vramtrack("report", trace, "--format", "json", "--at", "peak").stdout)
    total = next(t for t in peak["totals"] if t["layer"] == "tensor")
    assert sum(s["live_bytes"] for s in peak["sites"] if s["layer"] == "tensor") == total["peak_bytes"]


def test_a_report_reads_back_as_itself(run, vramtrack, tmp_path):
    (trace,) = run.traces()
    first = vramtrack("report", trace, "--format", "json")
    path = tmp_path / "report.json"
    path.write_text(first.stdout)
    again = vramtrack("report", path, "--format", "json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout


def test_text_names_the_line_and_folded_adds_up(run, vramtrack):
    (trace,) = run.traces()
    text = vramtrack("report", trace).stdout
    assert re.search(rf" 25 +growing +script\d+\.py:{LEAK_LINE} ", text), text
    assert "\x1b" not in text
    report = run.report()
    folded = vramtrack("report", trace, "--format", "folded").stdout
    shown = sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines())
    main = [s for s in report["sites"] if s["layer"] == "tensor" or s["owner"] != "torch" or s["device"] < 0]
    assert shown == sum(s["live_bytes"] for s in main)


def test_inputs_that_are_none(vramtrack, tmp_path):
    for content, problem in ((b"", "not a vramtrack trace"), (b"{", "not valid JSON"), (b"{}", "not a report")):
        path = tmp_path / "input"
        path.write_bytes(content)
        completed = vramtrack("report", path)
        assert completed.returncode == 1
        assert completed.stderr.startswith("error: ") and completed.stderr.count("\n") == 1
        assert problem in completed.stderr


def test_times_count_from_the_start_of_the_process(traced):
    """The first allocation comes late: what the script's own clock says bounds the report's figures."""
    script = """
import json, time
began = time.time() - (float(open("/proc/uptime").read().split()[0])
                       - int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / 100)
import torch
first = time.time() - began
tensor = torch.ones(1000, device="cuda")
print(json.dumps({"first": first, "later": time.time() - began}))
"""
    run = traced(script)
    assert run.code == 0, run.stderr
    own, report = json.loads(run.stdout), run.report()
    (block,) = [a for a in report["allocations"] if a["layer"] == "tensor"]
    assert own["first"] - 0.05 <= block["time"] <= own["later"] + 0.05
    assert block["time"] <= report["process"]["duration"]
    assert all(point["time"] >= own["first"] - 0.05 for point in report["timeline"])


def test_names_from_the_cache_are_the_names_that_were_looked_up(traced, tmp_path):
    script = "import torch; kept = torch.nn.Linear(64, 64, device='cuda')(torch.ones(8, 64, device='cuda'))"
    trace = traced(script).traces()[0]
    cache = tmp_path / "cache"

    def frames(folder):
        done = subprocess.run(
            [VRAMTRACK, "report", trace, "--format", "json"],
            capture_output=True,
            text=True,
            env={**os.environ, "VRAMTRACK_CACHE": str(folder)},
            check=True,
        )
        assert done.stderr == ""
        report = json.loads(done.stdout)
        return report["frames"], [site["stack"] for site in report["sites"]], report["losses"]

    plain = frames("off")
    assert any("at::native" in frame["function"] for frame in plain[0])
    assert frames(cache) == plain
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert frames(cache) == plain
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] + b"\x00damaged")
    assert frames(cache) == plain
    for file in files:
        file.write_bytes(b"")
    cache.chmod(0o500)
    (cache / "symbols-1").chmod(0o500)
    assert frames(cache) == plain
    (cache / "symbols-1").chmod(0o700)
    cache.chmod(0o700)
