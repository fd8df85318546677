"""Recorded stacks are the program's own: compared with sys._getframe, with CPython's interface, with libunwind, and with
PyTorch's recorder."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import BUILD
from pythons import REFUSED, SUPPORTED, choose, interpreters, summary

PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / "corpus"
FOUND = interpreters()


def checked(run):
    """The figures of VRAMTRACK_CHECK_STACKS: (stacks, with CPython, not comparable, mismatches)."""
    found = re.findall(
        r"stack check: (\d+) stacks compared with libunwind, (\d+) with CPython, (\d+) could not be, mismatches: (\d+)",
        run.stderr,
    )
    assert found, run.stderr
    return tuple(sum(map(int, column)) for column in zip(*found))


def stacks_by_address(report, layer):
    """{address: Python frames, innermost first, as (file, function, line)}"""
    frames = report["frames"]
    sites = {site["id"]: site for site in report["sites"]}
    found = {}
    for block in report["allocations"]:
        if block["layer"] != layer:
            continue
        stack = [frames[i] for i in sites[block["site"]]["stack"]]
        found[block["address"]] = [
            (f["file"], f["function"].rpartition(".")[2], f["line"]) for f in stack if f["kind"] == "python"
        ]
    return found


def test_versions_found(capsys):
    with capsys.disabled():
        print("\n" + summary(FOUND))
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in {version.rstrip("t") for version in FOUND}


def test_how_versions_are_chosen():
    answers = [("new", "3.15"), ("b", "3.14t"), ("t", "3.13t"), ("gil", "3.13"), ("old", "3.8"), ("gil again", "3.13")]
    found = choose([*answers, ("none", ""), ("nine", "3.9")])
    assert list(found.items()) == [("3.9", "nine"), ("3.13", "gil"), ("3.13t", "t"), ("3.14t", "b")]
    assert summary(found).endswith("not covered, for want of an interpreter: 3.10, 3.11, 3.12, 3.14")
    assert "not covered" not in summary(dict.fromkeys(SUPPORTED + REFUSED))


def test_the_documented_versions_are_those_tested():
    root = pathlib.Path(__file__).resolve().parents[2]
    last = SUPPORTED[-1]
    for text in ("README.md", "docs/troubleshooting.md"):
        assert f"CPython 3.9 to {last}" in (root / text).read_text(), text


UNKNOWN_PYTHON = """
#include <stdio.h>
#include <stdlib.h>

// What the library looks for in an interpreter, of a version that it does not know.
const char* Py_GetVersion(void) { return getenv("POSES_AS"); }
void* PyGILState_GetThisThreadState(void) { abort(); }
int Py_IsFinalizing(void) { abort(); }
char PyCode_Type[512], PyFrame_Type[512], PyUnicode_Type[512], PyBytes_Type[512], _PyRuntime[4096];

int cudaMalloc(void**, size_t);

int main(void) {
  void* p = NULL;
  int code = cudaMalloc(&p, 4096);
  code |= cudaMalloc(&p, 4096);
  puts("as ever");
  return code;
}
"""


@pytest.mark.parametrize("version", ["3.8.0", "3.15.0a1", "3.14.8 free-threading build", "3.13.0", "4.0", "?"])
def test_an_unknown_python_is_refused_in_one_line(traced, tmp_path, version):
    """Native stacks only, nothing called or read that the layout was not checked for. (A 3.13 whose table is not there
    is as unknown as a 3.15.)"""
    source, program = tmp_path / "poser.c", tmp_path / "poser"
    source.write_text(UNKNOWN_PYTHON)
    libraries = BUILD / "lib"
    subprocess.run(
        ["cc", "-o", program, source, "-rdynamic", f"-L{libraries}/sim", f"-L{libraries}", "-l:libcudart.so.12"],
        check=True,
    )
    run = traced([program], env={"POSES_AS": version})
    assert (run.code, run.stdout) == (0, "as ever\n"), run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("vramtrack[")]
    assert len(lines) == 1 and "cannot be read" in lines[0] and "native stacks only" in lines[0], run.stderr
    report = run.report()
    assert {report["frames"][i]["kind"] for site in report["sites"] for i in site["stack"]} == {"native"}
    assert sum(site["live_count"] for site in report["sites"]) == 2


@pytest.mark.parametrize("version", list(FOUND))
def test_every_kind_of_frame(traced, tmp_path, version):
    out = tmp_path / "expected.json"
    run = traced(
        [FOUND[version], PROGRAMS / "python_stacks.py", out],
        env={"VRAMTRACK_CHECK_STACKS": "1"},
    )
    assert run.code == 0, run.stderr
    expected = json.loads(out.read_text())["expected"]
    assert len(expected) > 1000
    if version in REFUSED:
        assert run.stderr.count("native stacks only") == 1, run.stderr
        assert {frame["kind"] for frame in run.report()["frames"]} == {"native"}
        return
    stacks = stacks_by_address(run.report(), "cuda")
    wrong = []
    for address, wanted in expected.items():
        got = stacks.get(address)
        if got != [tuple(frame) for frame in wanted["frames"]]:
            wrong.append((wanted["kind"], got, wanted["frames"]))
    assert not wrong, f"{len(wrong)} of {len(expected)}, the first: {wrong[0]}"
    compared, with_python, not_comparable, mismatches = checked(run)
    assert compared >= len(expected) and with_python > 100 and not_comparable == 0 and mismatches == 0


# The last PyTorch whose modules lie in cells ran on CPython up to 3.11.
@pytest.mark.parametrize("version, which", [(version, which) for version in FOUND if version not in REFUSED
                                            for which in ("wrapped", "cell") if which == "wrapped" or version in ("3.9", "3.10", "3.11")])
def test_the_module_that_is_called(traced, tmp_path, version, which):
    """The label of each stack is the module that CPython itself shows as the innermost call's `self`."""
    run = traced([FOUND[version], PROGRAMS / "python_modules.py", tmp_path, which], env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert run.code == 0, run.stderr
    compared, with_python, not_comparable, mismatches = checked(run)
    modules = int(re.search(r"modules compared: (\d+)", run.stderr)[1])
    assert with_python >= modules > 3000 and mismatches == 0 and not_comparable == 0


@pytest.fixture(scope="session")
def greenlet_python(tmp_path_factory):
    """The running interpreter with greenlet, in an environment of its own."""
    folder = tmp_path_factory.mktemp("greenlet")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "-q", "install", "greenlet>=3"], check=True)
    return python


def test_greenlets(traced, tmp_path, greenlet_python):
    out = tmp_path / "expected.json"
    run = traced([greenlet_python, PROGRAMS / "python_stacks.py", out], env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert run.code == 0, run.stderr
    facts = json.loads(out.read_text())
    assert facts["greenlets"]
    stacks = stacks_by_address(run.report(), "cuda")
    kinds = {wanted["kind"] for wanted in facts["expected"].values() if "greenlet" in wanted["kind"]}
    assert {"greenlet", "greenlet resumed", "between greenlets"} <= kinds
    for address, wanted in facts["expected"].items():
        assert stacks[address] == [tuple(frame) for frame in wanted["frames"]], wanted["kind"]
    assert checked(run)[3] == 0


TRAINING = r"""
import json, sys, torch
import torch.nn as nn

out = sys.argv[1]
torch.manual_seed(0)
torch.cuda.memory._record_memory_history(stacks="python", context="all", max_entries=1_000_000)

class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.one = nn.Linear(n, 2 * n)
        self.two = nn.Linear(2 * n, n)

    def forward(self, x):
        return x + self.two(torch.relu(self.one(x)))

model = nn.Sequential(*[Block(64) for _ in range(3)]).cuda()
optimizer = torch.optim.AdamW(model.parameters())
kept = []

def step(i):
    optimizer.zero_grad(set_to_none=i % 2 == 0)
    loss = model(torch.randn(16, 64, device="cuda")).square().mean()
    kept.append(loss)
    loss.backward()
    optimizer.step()
    kept.extend(x * 2 for x in [loss.detach()])

for i in range(6):
    step(i)

blocks = {}
for segment in torch.cuda.memory._snapshot()["segments"]:
    address = segment["address"]
    for block in segment["blocks"]:
        if block["state"] == "active_allocated":
            blocks[hex(block.get("address", address))] = [
                (f["filename"], f["name"], f["line"]) for f in block.get("frames", [])
            ]
        address += block["size"]
json.dump(blocks, open(out, "w"))
sys.stdout.flush()
"""


def test_frames_equal_those_of_pytorch(traced, tmp_path):
    script, out = tmp_path / "training.py", tmp_path / "blocks.json"
    script.write_text(TRAINING)
    run = traced([sys.executable, script, out], env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert run.code == 0, run.stderr
    theirs = json.loads(out.read_text())
    assert len(theirs) > 50 and sum(map(bool, theirs.values())) > 20
    ours = stacks_by_address(run.report(), "tensor")
    assert set(theirs) <= set(ours), "blocks that were not recorded"
    for address, frames in theirs.items():
        assert ours[address] == [tuple(frame) for frame in frames]
    compared, _, not_comparable, mismatches = checked(run)
    assert compared > 200 and not_comparable == 0 and mismatches == 0
    backward = [site for site in run.report()["sites"] if site["backward_of"]]
    assert backward, "no allocation of the backward pass was led back to its forward line"


THREADS = r"""
import torch, threading
from torch.utils.data import DataLoader, TensorDataset

def train(n):
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        model(torch.randn(8, 32, device="cuda")).sum().backward()
        optimizer.step()

threads = [threading.Thread(target=train, args=(n,)) for n in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
data = TensorDataset(torch.randn(64, 32))
for _ in range(2):
    for (batch,) in DataLoader(data, batch_size=8, num_workers=2, pin_memory=True):
        batch.cuda(non_blocking=True) * 2
try:
    torch.empty(2, 3, device="cuda") @ torch.empty(2, 3, device="cuda")
except RuntimeError:
    torch.empty(7, device="cuda")
"""


def test_training_in_threads_is_exact(traced):
    run = traced(THREADS, env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert run.code == 0, run.stderr
    compared, _, not_comparable, mismatches = checked(run)
    assert compared > 3000 and not_comparable == 0 and mismatches == 0
