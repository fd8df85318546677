"""Values on the simulated GPU: small ones by default, all with --sim-compute; the blocks and stacks stay as they are."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections import Counter

import pytest

from conftest import VRAMTRACK


CORPUS = pathlib.Path(__file__).parents[1] / "corpus"


def run(*options, script, arguments=(), cwd, **environment):
    return subprocess.run(
        [str(VRAMTRACK), "run", *options, "--", sys.executable, "-I", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=400,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def test_what_programs_look_at_is_right_by_default(tmp_path):
    done = run("--sim=8GiB", "--no-trace", script=CORPUS / "values" / "defaults.py", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "right True", done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("option", ["--sim=8GiB", "--sim-compute"])
def test_shapes_of_a_backward_pass(tmp_path, option):
    done = run(option, "--no-trace", script=CORPUS / "values" / "masks.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = 32 * 150
    # Each block runs twice a step: what it keeps is computed again in the backward pass.
    assert done.stdout.strip() == str([(("backward", rows), 3), (("block", rows), 12), (("loss", rows), 3)])
    assert done.stderr == ""


def test_every_operator_is_computed_as_the_cpu_does(tmp_path):
    done = run("--sim-compute", "--no-trace", script=CORPUS / "values" / "compute.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 25 and not [line for line in lines if not line.endswith(" ok")], done.stdout
    assert "is not computed" not in done.stderr, done.stderr


@pytest.mark.parametrize("option, what", [("--sim-compute", []), ("--sim=8GiB", ["shapes"])])
def test_math_libraries(tmp_path, option, what):
    """cuFFT, cuSOLVER and cuSPARSE: with every value computed each result is the CPU's, else its shape."""
    script = CORPUS / "values" / "math_libraries.py"
    done = run(option, "--no-trace", script=script, arguments=what, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 41 and not [line for line in lines if not line.endswith(" ok")], done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("option", ["--sim=8GiB", "--sim-compute"])
def test_operators_of_other_libraries_run_once(tmp_path, option):
    """A collective that is sent again answers for the next one; a program's own operator may count, print, store."""
    script = tmp_path / "own.py"
    script.write_text("""
import torch
import torch.distributed as dist
calls = []
library = torch.library.Library("own", "DEF")
library.define("add_(Tensor(a!) x) -> Tensor(a!)")
for key in ("CPU", "CUDA"):
    library.impl("add_", lambda x, key=key: (calls.append(key), x.add_(1))[1], key)
x = torch.zeros(4, device="cuda")
torch.ops.own.add_(x)
dist.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
group = dist.distributed_c10d._get_default_group()
before = group._get_sequence_number_for_group()
for _ in range(3): dist.broadcast(x, 0)
print(calls, x.tolist(), group._get_sequence_number_for_group() - before)
""")
    done = run(option, "--no-trace", script=script, cwd=tmp_path)
    assert done.stdout == "['CUDA'] [1.0, 1.0, 1.0, 1.0] 3\n", done.stdout + done.stderr


def blocks_of(folder):
    """The live blocks and the sites with their whole stacks, innermost frame first."""
    [path] = folder.glob("vramtrack-*.json")
    report = json.loads(path.read_text())
    frames = [(f["kind"], f["function"], f["file"], f["line"]) for f in report["frames"]]
    sites = {s["id"]: tuple(frames[i] for i in s["stack"]) for s in report["sites"]}
    counts = Counter((sites[s["id"]], s["layer"], s["allocated_count"], s["allocated_bytes"]) for s in report["sites"])
    live = Counter((b["bytes"], b["layer"], b["kind"], sites[b["site"]]) for b in report["allocations"])
    return counts, live, {f for stack in sites.values() for f in stack}


def test_computing_changes_losses_and_nothing_else(tmp_path):
    script = CORPUS / "values" / "digits.py"
    plain = run("--sim=8GiB", "-o", "plain", script=script, cwd=tmp_path)
    computed = run("--sim=8GiB", "--sim-compute", "-o", "computed", script=script, cwd=tmp_path)
    assert plain.returncode == computed.returncode == 0, plain.stderr + computed.stderr
    oracle = run("--sim=8GiB", "--sim-compute", "--no-trace", script=script, arguments=["--cpu"], cwd=tmp_path)
    without, with_values, cpu = (json.loads(done.stdout) for done in (plain, computed, oracle))
    assert with_values["losses"] == cpu["cpu_losses"] == cpu["losses"]
    assert with_values["accuracy"] == cpu["cpu_accuracy"] > 0.95
    assert without["figures"] == with_values["figures"] and without["accuracy"] < 0.5
    before, after = blocks_of(tmp_path / "plain"), blocks_of(tmp_path / "computed")
    assert before[0] == after[0] and before[1] == after[1]
    ours = [f for f in after[2] if any(w in (f[1] or "") for w in ("vramtrack", "RecordFunction", "SlowPath"))]
    assert not ours and not [f for f in after[2] if "vramtrack-sim" in (f[2] or "")], ours


def test_a_run_that_fails_over_values_is_told_of_the_option(tmp_path):
    script = tmp_path / "picky.py"
    script.write_text(
        "import torch, sys\n"
        "product = torch.ones(300, 300, device='cuda') @ torch.ones(300, 300, device='cuda')\n"
        "sys.exit(0 if product[0, 0].item() == 300 else 3)\n"
    )
    failed = run("--sim=8GiB", "--no-trace", script=script, cwd=tmp_path)
    assert failed.returncode == 3 and "--sim-compute" in failed.stderr, failed.stderr
    assert run("--sim-compute", "--no-trace", script=script, cwd=tmp_path).returncode == 0
    endless = tmp_path / "endless.py"
    endless.write_text(
        "import os, signal, torch\n"
        "product = torch.ones(300, 300, device='cuda') @ torch.ones(300, 300, device='cuda')\n"
        "while product[0, 0].item() == 0:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    stopped = run("--sim=8GiB", "--no-trace", script=endless, cwd=tmp_path)
    assert stopped.returncode == 128 + signal.SIGTERM and "--sim-compute" in stopped.stderr, stopped.stderr
