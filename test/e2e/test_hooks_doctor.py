"""vramtrack doctor: what will be hooked, in plain words."""

import os
import re
import subprocess

from conftest import VRAMTRACK
from test_hooks import PROGRAMS, ROWS, sim_environment


def doctor(*command, environment=None):
    return subprocess.run(
        [str(VRAMTRACK), "doctor", *map(str, command)], env=environment, capture_output=True, text=True, timeout=120
    )


def test_environment():
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    runtime = sum(api == "runtime" for api, _ in ROWS)
    assert f"hooks {runtime} functions of the CUDA runtime, {len(ROWS) - runtime} of the driver" in done.stdout
    assert "a program starts under it" in done.stdout


def test_command(tmp_path):
    environment = {k: v for k, v in sim_environment(tmp_path, trace=False).items() if k != "VRAMTRACK_OUT"}
    done = doctor("--", PROGRAMS / "door_regressions", "capture", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    looked_up = re.search(r"looked up +(.*)", done.stdout).group(1).split()
    assert {"cudaMallocAsync", "cudaFreeAsync", "cuGetProcAddress_v2"} <= set(looked_up)
    assert "2 allocations on device 0" in done.stdout


def test_command_without_cuda():
    done = doctor("--", "/bin/true", environment=dict(os.environ))
    assert done.returncode == 1
    assert "it allocated nothing through CUDA" in done.stdout
