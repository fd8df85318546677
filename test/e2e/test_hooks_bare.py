"""Only LD_PRELOAD, no launcher: each process that allocated leaves a trace and its report, and nothing else changes."""

import json
import pathlib
import re
import signal
import subprocess

import jsonschema
import pytest

from conftest import PYTHON, ROOT, VRAMTRACK
from test_hooks import sim_environment

WORKLOADS = ROOT / "test" / "corpus" / "workloads.py"
BLOCK = """
import ctypes, os, sys
cuda = ctypes.CDLL("libcudart.so.13")
def block(n):
    p = ctypes.c_void_p()
    assert cuda.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(n)) == 0
    return p
"""


def bare(tmp_path, *command, trace=True, **changes):
    """Runs in tmp_path as `LD_PRELOAD=... CMD` would; the output folder is the default one there."""
    environment = sim_environment("", trace=trace)
    for name in ("VRAMTRACK_OUT", "VRAMTRACK_LAUNCHED", "VRAMTRACK_NO_AGENT"):
        environment.pop(name)
    environment |= {"VRAMTRACK_SIM": "24GiB", **changes}
    return subprocess.run(
        [str(c) for c in command], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )


def script(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def reports(folder):
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    found = [json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("vramtrack-*.json"))]
    for report in found:
        jsonschema.validate(report, schema)
    return found


def sizes(report):
    return sorted(a["bytes"] for a in report["allocations"] if a["layer"] == "cuda")


@pytest.mark.torch
def test_torch(tmp_path):
    plain = bare(tmp_path, PYTHON, WORKLOADS, "mlp", trace=False)
    traced = bare(tmp_path, PYTHON, WORKLOADS, "mlp")
    assert (traced.returncode, traced.stdout) == (plain.returncode, plain.stdout) == (0, plain.stdout)
    (figures,) = json.loads(traced.stdout.splitlines()[-1])
    (report,) = reports(tmp_path / "vramtrack-out")
    (total,) = [t for t in report["totals"] if t["layer"] == "tensor"]
    assert {k: total[k] for k in ("live_bytes", "live_count", "peak_bytes")} == {
        k: figures[k] for k in ("live_bytes", "live_count", "peak_bytes")
    }
    assert report["process"]["end"] == {"kind": "exit", "code": 0}
    assert any(a["tensor"] and a["tensor"]["role"] == "parameter" for a in report["allocations"])
    assert "Alive at exit, by call site" in traced.stderr and "workloads.py" in traced.stderr


@pytest.mark.parametrize("ending, code", [("sys.exit(7)", 7), ("os._exit(7)", 7), ("1/0", 1)])
def test_exit_code_and_stdout(ending, code, tmp_path):
    text = f"{BLOCK}\nkept = block(4096)\nprint('said', flush=True)\n{ending}\n"
    done = bare(tmp_path, PYTHON, script(tmp_path, text), VRAMTRACK_OUT="elsewhere/deep", VRAMTRACK_QUIET="1")
    assert (done.returncode, done.stdout) == (code, "said\n")
    (report,) = reports(tmp_path / "elsewhere" / "deep")
    assert sizes(report) == [4096] and report["process"]["end"] == {"kind": "exit", "code": code}
    assert "Alive at exit" not in done.stderr


OOM = """
import torch
kept = torch.ones(1 << 20, device="cuda")
for bytes in (40 << 30, 50 << 30):
    try:
        torch.empty(bytes, dtype=torch.uint8, device="cuda")
    except torch.cuda.OutOfMemoryError:
        print("refused")
"""


@pytest.mark.torch
def test_out_of_memory_reports(tmp_path):
    """One file for each event, as with the launcher."""
    done = bare(tmp_path, PYTHON, script(tmp_path, OOM), VRAMTRACK_QUIET="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\nrefused\n", "")
    (trace,) = (tmp_path / "vramtrack-out").glob("*.vtrace")
    files = {path.name.removeprefix(trace.stem) for path in trace.parent.iterdir()}
    assert files == {".vtrace", ".json", ".oom-1.json", ".oom-2.json"}
    exit_report, *ooms = sorted(reports(trace.parent), key=lambda report: (report["at"], report["ooms"][0]["n"]))
    requested = {(o["n"], o["requested_bytes"]) for o in exit_report["ooms"]}
    assert requested == {(1, 40 << 30), (2, 50 << 30)}
    assert [report["at"] for report in ooms] == ["oom", "oom"]


GROWS = """
import torch
layer = torch.nn.Linear(64, 64).cuda()
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
kept = []
for _ in range(30):
    layer(torch.ones(8, 64, device="cuda")).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    kept.append(torch.ones(10000, device="cuda"))
print("unflushed", end="")
"""


@pytest.mark.torch
@pytest.mark.parametrize(
    "size, ending, code",
    [("1", "", 77), ("1MiB", "", 77), ("1GiB", "", 0), ("1", "raise SystemExit(3)", 3), ("1", "import os; os._exit(0)", 77)],
)
def test_fail_on_leak(size, ending, code, tmp_path):
    """VRAMTRACK_FAIL_ON_LEAK without the launcher: the process ends with 77 itself, with all its output."""
    text = GROWS + ("import sys; sys.stdout.flush()\n" if "_exit" in ending else "") + ending
    done = bare(tmp_path, PYTHON, script(tmp_path, text), VRAMTRACK_FAIL_ON_LEAK=size, VRAMTRACK_QUIET="1")
    assert (done.returncode, done.stdout) == (code, "unflushed")
    assert done.stderr.count("a growing site holds at least") == (size != "1GiB")
    assert len(reports(tmp_path / "vramtrack-out")) == 1


def test_no_trace(tmp_path):
    done = bare(tmp_path, PYTHON, script(tmp_path, BLOCK + "block(4096)\nprint('said')\n"), VRAMTRACK_NO_TRACE="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "")
    assert not (tmp_path / "vramtrack-out").exists()


def test_min_size(tmp_path):
    text = f"{BLOCK}\nkept = block(4096), block(1 << 20)\n"
    bare(tmp_path, PYTHON, script(tmp_path, text), VRAMTRACK_MIN_SIZE="64KiB")
    (report,) = reports(tmp_path / "vramtrack-out")
    assert sizes(report) == [1 << 20]


def test_killed(tmp_path):
    """No process is left to write the report: the documented command makes it from the trace."""
    done = bare(tmp_path, PYTHON, script(tmp_path, f"{BLOCK}\nkept = block(4096)\nos.kill(os.getpid(), 9)\n"))
    assert done.returncode == -signal.SIGKILL
    (trace,) = (tmp_path / "vramtrack-out").iterdir()
    shown = subprocess.run([VRAMTRACK, "report", trace], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"4\.0 KiB +1  steady +script\.py:6  \S", shown.stdout), shown.stdout
    made = subprocess.run(
        [VRAMTRACK, "report", trace, "--format", "json", "-o", trace.with_suffix(".json")], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (report,) = reports(tmp_path / "vramtrack-out")
    assert sizes(report) == [4096]
    assert report["process"]["end"]["kind"] in ("killed", "unknown")


CHILDREN = {
    # CUDA is not usable in a child that was forked after its first use: the children come first.
    "fork": "for n in (1, 2):\n    if os.fork() == 0:\n        block(n << 20)\n        os._exit(0)\nos.wait(), os.wait()",
    "multiprocessing fork": "pool('fork')",
    "multiprocessing spawn": "pool('spawn')",
    "exec": "import subprocess\nfor n in (1, 2):\n    subprocess.run([sys.executable, __file__, str(n)], check=True)",
    "killed": "for n in (1, 2):\n    if os.fork() == 0:\n        block(n << 20)\n        os.kill(os.getpid(), 9)\nos.wait(), os.wait()",
}
CHILDREN_SCRIPT = """
def pool(method):
    import multiprocessing
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=block, args=(n << 20,)) for n in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0

if len(sys.argv) > 1:
    kept = block(int(sys.argv[1]) << 20)
elif __name__ == "__main__":
%s
    kept = block(4096)
    print(os.getpid())
"""


@pytest.mark.parametrize("way", CHILDREN)
def test_children_have_reports_of_their_own(way, tmp_path):
    text = BLOCK + CHILDREN_SCRIPT % "\n".join("    " + line for line in CHILDREN[way].splitlines())
    done = bare(tmp_path, PYTHON, script(tmp_path, text))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "vramtrack-out"
    assert len(list(out.glob("*.vtrace"))) == 3
    for trace in out.glob("*.vtrace"):
        if way == "killed" and not trace.with_suffix(".json").exists():
            made = [VRAMTRACK, "report", trace, "--format", "json", "-o", trace.with_suffix(".json")]
            subprocess.run([str(c) for c in made], check=True, capture_output=True)
    by_pid = {report["process"]["pid"]: report for report in reports(out)}
    parent = by_pid.pop(int(done.stdout.splitlines()[-1]))
    assert sizes(parent) == [4096] and parent["process"]["forked_from"] is None
    assert sorted(sizes(child) for child in by_pid.values()) == [[1 << 20], [2 << 20]]
    forked = parent["process"]["pid"] if way in ("fork", "killed", "multiprocessing fork") else None
    assert {child["process"]["forked_from"] for child in by_pid.values()} == {forked}
    assert {child["process"]["ppid"] for child in by_pid.values()} == {parent["process"]["pid"]}
