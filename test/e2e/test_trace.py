"""The trace file of real PyTorch programs: killed, forked, on a full disk, with the event history.

The library is preloaded by hand here, as without the launcher; what the trace holds is read through `vramtrack dump`.
"""

import json
import os
import re
import signal
import struct
import subprocess

import pytest

from conftest import BUILD, LIBRARY, PYTHON, VRAMTRACK

TRAIN = """
import json, os, signal, sys, torch
from torch import nn
layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
model = nn.TransformerEncoder(layer, 2).cuda()
optimizer = torch.optim.AdamW(model.parameters())
held = []
for step in range(STEPS):
    optimizer.zero_grad()
    loss = model(torch.randn(4, 16, 64, device="cuda")).mean()
    loss.backward()
    optimizer.step()
    held.append(torch.empty(1000 + step, device="cuda"))
stats = torch.cuda.memory_stats()
print(json.dumps([stats["allocated_bytes.all.current"], stats["allocation.all.current"],
                  stats["allocated_bytes.all.peak"]]), flush=True)
"""


@pytest.fixture
def preloaded(tmp_path):
    """preloaded(source, env={}) -> (CompletedProcess, folder of the traces)."""
    count = 0

    def run(source, env=None):
        nonlocal count
        count += 1
        script = tmp_path / f"script{count}.py"
        script.write_text(source)
        out = tmp_path / f"out{count}"
        sim = BUILD / "lib" / "sim"
        libraries = [LIBRARY] + [sim / name for name in (sim / "preload.txt").read_text().split()]
        environment = {
            **os.environ,
            "LD_PRELOAD": ":".join(map(str, libraries)),
            "VRAMTRACK_SIM": "80GiB",
            "VRAMTRACK_LAUNCHED": "1",
            "VRAMTRACK_OUT": str(out),
            **(env or {}),
        }
        done = subprocess.run(
            [PYTHON, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done, out

    return run


def only_trace(out):
    traces = list(out.glob("*.vtrace"))
    assert len(traces) == 1, traces
    return traces[0]


def dump(path, *options):
    done = subprocess.run([VRAMTRACK, "dump", str(path), *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = {}
    for line in done.stdout.splitlines():
        fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line))
        records.setdefault(line.split(" ", 1)[0], []).append(fields)
    assert "warning" not in records, records["warning"]
    return records


def account(records, layer, kind="all", device="0"):
    found = [a for a in records["account"] if (a["layer"], a["kind"], a["device"]) == (layer, kind, device)]
    assert len(found) == 1
    return {key: int(value) for key, value in found[0].items() if value.isdigit()}


def torch_figures(records):
    tensors = account(records, "tensor")
    return [tensors["live_bytes"], tensors["live_count"], tensors["peak_bytes"]]


@pytest.mark.torch
def test_killed_in_training_the_trace_has_torchs_figures(preloaded):
    done, out = preloaded(TRAIN.replace("STEPS", "20") + "os.kill(os.getpid(), signal.SIGKILL)\n")
    assert done.returncode == -signal.SIGKILL
    path = only_trace(out)
    records = dump(path)
    assert records["trace"][0]["end"] == "running"
    assert torch_figures(records) == json.loads(done.stdout)
    assert sum(int(b["bytes"]) for b in records["block"]) == sum(int(s["live_bytes"]) for s in records["site"])
    tensor_sites = [s for s in records["site"] if s["layer"] == "tensor"]
    assert sum(int(s["at_peak_bytes"]) for s in tensor_sites) == account(records, "tensor")["peak_bytes"]
    assert max(int(p["live_bytes"]) for p in records["point"]) == account(records, "cuda")["peak_bytes"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 8 << 20


@pytest.mark.torch
def test_workers_and_forks_leave_the_trace_alone(preloaded):
    source = TRAIN.replace("STEPS", "3") + """
from torch.utils.data import DataLoader
for batch in DataLoader(torch.arange(32.0), batch_size=4, num_workers=2, pin_memory=True):
    batch.cuda()
child = os.fork()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
del batch, held
stats = torch.cuda.memory_stats()
print(json.dumps([stats["allocated_bytes.all.current"], stats["allocation.all.current"],
                  stats["allocated_bytes.all.peak"]]), flush=True)
os._exit(5)
"""
    done, out = preloaded(source)
    assert done.returncode == 5, done.stderr
    records = dump(only_trace(out))
    assert torch_figures(records) == json.loads(done.stdout.splitlines()[-1])
    assert (records["trace"][0]["end"], records["trace"][0]["code"]) == ("exit", "5")


@pytest.mark.torch
def test_a_spawned_child_has_its_own_trace(preloaded):
    done, out = preloaded(
        """
import multiprocessing, torch
def work(size):
    global kept
    kept = torch.empty(size, dtype=torch.uint8, device="cuda")
if __name__ == "__main__":
    mine = torch.empty(1 << 20, dtype=torch.uint8, device="cuda")
    child = multiprocessing.get_context("spawn").Process(target=work, args=(3 << 20,))
    child.start()
    child.join()
    print(child.pid, child.exitcode)
"""
    )
    pid, code = done.stdout.split()
    assert code == "0", done.stderr
    assert len(list(out.glob("*.vtrace"))) == 2
    assert account(dump(out / f"vramtrack-{pid}.vtrace"), "tensor")["allocated_bytes"] == 3 << 20


@pytest.mark.torch
def test_a_full_disk_does_not_touch_the_program(preloaded):
    # As on a full disk, without needing one: no file may grow any more (the signal that goes with it stays deadly).
    full = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
held = [torch.empty(7, device="cuda") for _ in range(30000)]
print("end")
"""
    done, out = preloaded(TRAIN.replace("STEPS", "2") + full)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("end\n")
    lines = [line for line in done.stderr.splitlines() if "stops growing" in line]
    assert len(lines) == 1 and lines[0].startswith("vramtrack[")
    path = only_trace(out)
    assert path.stat().st_size <= 700_000
    records = dump(path)
    assert int(records["losses"][0]["dropped_events"]) > 1000
    assert account(records, "tensor")["live_count"] > 1000


def history_bytes(path):
    """Coded bytes of all history chunks (docs/trace-format.md)."""
    data = path.read_bytes()
    extent = 65536
    at = total = 0
    while at + 128 <= len(data):
        kind, _, run = struct.unpack_from("<III", data, at)
        if kind == 6:
            total += struct.unpack_from("<I", data, at + 64 + 32)[0]
        at += max(run, 1) * extent if kind else extent
    return total


@pytest.mark.torch
def test_the_history_replays_to_torchs_figures(preloaded):
    done, out = preloaded(TRAIN.replace("STEPS", "150"), env={"VRAMTRACK_HISTORY": "1"})
    assert done.returncode == 0, done.stderr
    path = only_trace(out)
    check_replay(path)


def check_replay(path):
    records = dump(path, "--history")
    assert records["history"][0]["dropped"] == "0"
    site_layer = {}
    for line in subprocess.run([VRAMTRACK, "dump", str(path)], capture_output=True, text=True).stdout.splitlines():
        if match := re.match(r"site (\d+) layer=(\w+)", line):
            site_layer[match[1]] = match[2]

    # Given the events in order of time, when they are replayed, then the level, its peak and the end are torch's own.
    events = subprocess.run(
        [VRAMTRACK, "dump", str(path), "--history"], capture_output=True, text=True
    ).stdout.splitlines()
    live, level, peak, count, last = {}, 0, 0, 0, 0.0
    for line in events:
        if not line.startswith(("alloc ", "free ")):
            continue
        fields = dict(part.split("=", 1) for part in line.split()[1:])
        count += 1
        assert float(fields["time"]) >= last
        last = float(fields["time"])
        if site_layer[fields["site"]] != "tensor":
            continue
        if line.startswith("alloc"):
            assert fields["address"] not in live
            live[fields["address"]] = int(fields["bytes"])
            level += int(fields["bytes"])
            peak = max(peak, level)
        else:
            assert live.pop(fields["address"]) == int(fields["bytes"])
            level -= int(fields["bytes"])
    tensors = account(records, "tensor")
    assert [level, len(live), peak] == [tensors["live_bytes"], tensors["live_count"], tensors["peak_bytes"]]
    assert count >= tensors["allocated_count"] + tensors["freed_count"] > 10_000
    assert history_bytes(path) / count <= 4


@pytest.mark.torch
def test_the_history_thread_takes_no_signals(preloaded):
    source = TRAIN.replace("STEPS", "1") + """
for task in os.listdir("/proc/self/task"):
    status = open(f"/proc/self/task/{task}/status").read()
    if status.startswith("Name:\\tvramtrack\\n"):
        print("blocked", status.split("SigBlk:\\t")[1].split()[0])
"""
    done, _ = preloaded(source, env={"VRAMTRACK_HISTORY": "1"})
    blocked = int(done.stdout.split("blocked ")[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD, signal.SIGPROF):
        assert blocked & 1 << (number - 1)
