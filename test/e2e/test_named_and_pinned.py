"""Marks and phases that the program sets, and the blocks that pin the allocator's segments: in the JSON, the text and the
page, against what PyTorch itself says."""

import datetime
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT, VRAMTRACK
from pages import browser, clean  # noqa: F401

NAMED = """
import time
import torch
import vramtrack

first = torch.ones(1 << 20, device="cuda")
vramtrack.mark("loaded </script><b>")
print(torch.cuda.memory_allocated())
with vramtrack.phase("evaluation"):
    second = torch.ones(3 << 20, device="cuda")
    with vramtrack.phase("inner"):
        time.sleep(0.1)
    vramtrack.mark("half way")
    print(torch.cuda.memory_allocated())
left_open = vramtrack.phase("open")
left_open.__enter__()
time.sleep(0.1)
"""

# Before the first allocation, of two threads and with a child, which begins anew.
EARLY = """
import ctypes
import os
import threading
import time
import torch
import vramtrack

nvtx = ctypes.CDLL(None)
stamps = []

def mark(name):
    vramtrack.mark(name)
    stamps.append(time.time())

def other():
    with vramtrack.phase("other thread"):
        entered.set()
        allocated.wait()
        torch.ones(5 << 20, device="cuda")
    kept.append(torch.ones(6 << 20, device="cuda"))

kept, entered, allocated = [], threading.Event(), threading.Event()
mark("started")
with vramtrack.phase("setup"):
    time.sleep(0.1)
    with vramtrack.phase("inner"):
        mark("no memory yet")
with vramtrack.phase("train"):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
    else:
        vramtrack.mark("in the child")
        kept.append(torch.ones(7 << 20, device="cuda"))
        raise SystemExit
    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    nvtx.nvtxRangePushA(b"range")
    kept.append(torch.ones(1 << 20, device="cuda"))
    allocated.set()
    thread.join()
    nvtx.nvtxRangePop()
    kept.append(torch.ones(2 << 20, device="cuda"))
    mark("allocated")
kept.append(torch.ones(3 << 20, device="cuda"))
print(*stamps)
"""

PINNED = """
import json
import os
import torch

rows, other = [], []
for _ in range(24):  # a segment of 20 MiB each
    rows.append(torch.empty(2 << 20, dtype=torch.uint8, device="cuda"))
    other.append(torch.empty(9 << 20, dtype=torch.uint8, device="cuda"))
    other.append(torch.empty(9 << 20, dtype=torch.uint8, device="cuda"))
del other[:40]
segments = [(s["address"], s["total_size"], s["allocated_size"]) for s in torch.cuda.memory_snapshot()]
before = torch.cuda.memory_reserved()
if "LET_GO" in os.environ:
    rows.clear()
    torch.cuda.empty_cache()
print(json.dumps([segments, before, before - torch.cuda.memory_reserved()]))
"""


def record(folder, program, **env):
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(program)
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--quiet", "--history", "-o", folder, "--", sys.executable, "program.py"], cwd=folder, capture_output=True, text=True,
                          timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **env})
    assert done.returncode == 0, done.stderr
    (trace,) = folder.glob("vramtrack-*.vtrace")
    page = folder / "page.html"
    subprocess.run([VRAMTRACK, "report", "--format", "html", "-o", page, trace], check=True, timeout=300)
    text = subprocess.run([VRAMTRACK, "report", trace], check=True, capture_output=True, text=True, timeout=300).stdout
    return done.stdout, json.loads(trace.with_suffix(".json").read_text()), text, page


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return record(tmp_path_factory.mktemp("named"), NAMED)


def test_marks_and_phases_are_reported(named):
    out, report, text, _ = named
    assert [(m["name"], m["live_bytes"]) for m in report["marks"]] == [("loaded </script><b>", int(out.split()[0])), ("half way", int(out.split()[1]))]
    evaluation, inner, opened = report["phases"]
    assert [evaluation["name"], inner["name"], opened["name"]] == ["evaluation", "inner", "open"]
    assert evaluation["begin"] <= inner["begin"] < inner["end"] - 0.09 and inner["end"] <= report["marks"][1]["time"] <= evaluation["end"] <= opened["begin"]
    assert opened["end"] is None and 0 < opened["begin"] < report["process"]["duration"]
    assert any(site["range"] == "evaluation" for site in report["sites"])
    assert "Marks of the program" in text and "16.0 MiB live  half way" in text
    assert "Phases of the program" in text and "inner" in text and "(open at the end)" in text


def test_marks_and_phases_before_the_first_allocation(tmp_path):
    (tmp_path / "program.py").write_text(EARLY)
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--quiet", "--", sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in (tmp_path / "vramtrack-out").glob("vramtrack-*.json")]
    child, report = sorted(reports, key=lambda one: one["process"]["forked_from"] is None)
    assert [(m["name"], m["live_bytes"]) for m in report["marks"]] == [("started", 0), ("no memory yet", 0), ("allocated", 36 << 20)]
    times = [mark["time"] for mark in report["marks"]]
    stamps = [float(word) for word in done.stdout.split()]
    # The marks are as far apart as the program saw them, where both clocks are read without a pause in between.
    assert times[1] - times[0] >= 0.1 and times == sorted(times) and times[0] >= 0
    began = datetime.datetime.fromisoformat(report["process"]["started_at"].replace("Z", "+00:00")).timestamp()
    assert began + times[0] <= stamps[0] + 0.1 and began + times[1] <= stamps[1] + 0.1
    setup, inner, train, other = report["phases"]
    assert [one["name"] for one in report["phases"]] == ["setup", "inner", "train", "other thread"]
    assert times[0] <= setup["begin"] <= inner["begin"] - 0.1 and inner["begin"] <= times[1] <= inner["end"] <= setup["end"] <= train["begin"]
    assert train["begin"] <= other["begin"] < other["end"] <= times[2] <= train["end"] and other["thread"] != train["thread"] == setup["thread"]
    ranges = {site["allocated_bytes"] >> 22: site["range"] for site in report["sites"] if site["layer"] == "tensor"}
    assert ranges == {1: "range", 2: "train", 3: None, 5: "other thread", 6: None}
    assert [one["name"] for one in child["marks"]] == ["in the child"] and not child["phases"]
    assert {site["range"] for site in child["sites"] if site["layer"] == "tensor"} == {None}


def test_what_is_named_too_often_before_the_first_allocation(tmp_path):
    """Some are left out, and none that is kept ends with another's end."""
    (tmp_path / "program.py").write_text("""
import torch
import vramtrack
for i in range(12000):
    with vramtrack.phase("x" * 300):
        vramtrack.mark("m" * 300)
with vramtrack.phase("after"):
    kept = torch.ones(1 << 20, device="cuda")
""")
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--quiet", "--", sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0 and not done.stderr, done.stderr
    (report,) = [json.loads(path.read_text()) for path in (tmp_path / "vramtrack-out").glob("vramtrack-*.json")]
    assert len(report["phases"]) > 1000 and len(report["marks"]) > 1000 and not any(report["losses"][name] for name in ("dropped_events", "torn_records"))
    ends = [one["end"] for one in report["phases"]]
    assert None not in ends and ends == sorted(ends) and all(a["end"] <= b["begin"] for a, b in zip(report["phases"], report["phases"][1:]))
    assert [site["range"] for site in report["sites"] if site["layer"] == "tensor"] == ["after"]


def test_a_program_that_never_allocates_leaves_nothing(tmp_path):
    (tmp_path / "program.py").write_text("import vramtrack\nwith vramtrack.phase('a'):\n    vramtrack.mark('b')\n")
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--quiet", "--", sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")})
    assert done.returncode == 0 and not list(tmp_path.glob("vramtrack-out/*"))


def test_marks_and_phases_stand_over_the_plot(browser, named):
    out, report, _, path = named
    page = browser.open(path)
    plain = page.evaluate("document.querySelector('.u-wrap').offsetHeight")
    assert plain == 170 + 3 * 15  # two lanes of phases, one of marks
    assert page.text("#timeline details summary") == "2 marks, 3 phases of the program"
    page.click("#timeline details summary")
    rows = page.evaluate("[...document.querySelectorAll('#timeline details li')].map(li => li.innerText)")
    assert [name for row in rows for name in ("loaded </script><b>", "evaluation", "inner", "half way", "open") if f" {name} " in f"{row} "] == ["loaded </script><b>", "evaluation", "inner", "half way", "open"]
    page.click("#timeline details li:nth-child(4) button")  # what was alive at the second mark
    assert page.evaluate("window.vramtrack.store.get('at')") == "moment"
    assert page.evaluate("window.vramtrack.scope.total") == int(out.split()[1])
    over = page.evaluate("(() => { const u = document.querySelector('.u-over').getBoundingClientRect(); return [u.left, u.top, u.width]; })()")
    begin, end = page.evaluate("(() => { const t = window.vramtrack.model.phases[1]; return [t.begin, t.end]; })()")
    page.evaluate("[...document.querySelectorAll('#timeline [aria-label=Time] button')].find(b => b.innerText === 'Whole run')?.click()")
    page.settle()
    times = page.evaluate("window.vramtrack.model.timeline.time[0]"), report["process"]["duration"]
    x = over[0] + over[2] * ((begin + end) / 2 - times[0]) / (times[1] - times[0])
    page.mouse("mouseMoved", x, over[1] + 40)
    page.settle()
    assert "in evaluation › inner" in page.text("#timeline .readout")
    assert page.evaluate("document.scripts.length") == 3
    clean(page)


def test_the_plot_is_split_by_role_and_phase(browser, named):
    _, _, _, path = named
    page = browser.open(path)
    for label, key in (("By role", "roles"), ("By phase", "phases")):
        page.evaluate(f"[...document.querySelectorAll('#timeline button')].find(b => b.innerText === '{label}').click()")
        page.settle()
        assert page.evaluate(f"window.vramtrack.model.history[0].{key}.length") > 0
        assert page.evaluate("document.querySelector('#timeline [aria-label=Layers] [aria-pressed=true]').innerText") == label
    clean(page)


@pytest.fixture(scope="module", params=["", "expandable_segments:True"], ids=["native", "expandable"])
def pinned(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pinned")
    return record(folder / "kept", PINNED, PYTORCH_CUDA_ALLOC_CONF=request.param), record(folder / "gone", PINNED, PYTORCH_CUDA_ALLOC_CONF=request.param, LET_GO="1"), bool(request.param)


def test_what_pins_the_segments_is_named(pinned):
    (out, report, text, _), (gone, *_), expandable = pinned
    segments, reserved, _ = json.loads(out)
    (found,) = report["fragmentation"]
    assert found["reserved_bytes"] == reserved == sum(size for _, size, _ in segments)
    assert found["live_bytes"] == sum(live for _, _, live in segments)
    assert found["reserved_bytes"] == found["live_bytes"] + found["unused_bytes"] + found["pinned_bytes"]
    if not expandable:
        partly = {hex(address): (size, live) for address, size, live in segments if 0 < live < size}
        assert {s["address"]: (s["bytes"], s["live_bytes"]) for s in found["segments"]} == partly
        assert found["pinned_segments"] == len(partly)
    blocks = {b["address"]: b for b in report["allocations"] if b["layer"] == "tensor"}
    for segment in found["segments"]:
        for pin in segment["pins"]:
            assert (blocks[pin["address"]]["bytes"], blocks[pin["address"]]["site"]) == (pin["bytes"], pin["site"])
            assert blocks[pin["address"]]["tensor"]["holder_id"] == pin["holder_id"]
    words = " ".join(text.split())
    assert "Free but not to be given back, cuda:0: 360 MiB of 480 MiB reserved" in words
    by_rows = [g for g in found["pinned_by"] if g["holder_id"] is not None and report["holders"][g["holder_id"]]["path"].startswith("__main__.rows")]
    (rows,) = by_rows
    assert f"kept by {rows['blocks']} blocks from program.py:8, held by __main__.rows" in words
    # The oracle: a run that lets go of them, and of nothing else, gets that much back.
    assert json.loads(gone)[2] == rows["segment_bytes"] + found["unused_bytes"]


def test_the_segments_tab_says_what_comes_back(browser, pinned):
    (_, report, _, path), _, _ = pinned
    page = browser.open(path, hash="#tab=segments")
    groups = report["fragmentation"][0]["pinned_by"]
    assert page.evaluate("document.querySelectorAll('#panel-segments tbody tr').length") == len(groups)
    page.click("#panel-segments tbody tr td:last-child .link")
    assert page.evaluate("window.vramtrack.store.get('holder')") == f"exit/{groups[0]['holder_id']}"
    assert "__main__.rows" in page.text("#details")
    clean(page)
