"""vramtrack doctor: what will be hooked, in plain words."""

import os
import re
import subprocess

from conftest import PYTHON, VRAMTRACK
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
    looked_up = re.search(r"looked up +((.*\n)( {26}.*\n)*)", done.stdout).group(1).split()
    assert {"cudaMallocAsync", "cudaFreeAsync", "cuGetProcAddress_v2"} <= set(looked_up)
    assert "2 allocations on device 0" in done.stdout
    assert re.search(r"device 0 +NVIDIA H100 .*\(simulated\), 24.0 GiB", done.stdout)


def test_command_without_cuda():
    done = doctor("--", "/bin/true", environment=dict(os.environ))
    assert done.returncode == 1
    assert "it allocated nothing through CUDA" in done.stdout


def test_pytorch_program_on_a_machine_without_a_gpu(tmp_path):
    """What a newcomer does first: the interpreter that is named is looked at, and the way out is named."""
    script = tmp_path / "train.py"
    script.write_text("import torch\ntorch.nn.Linear(4, 4).cuda()\n")
    done = doctor("--", PYTHON, script)
    assert done.returncode == 1
    assert re.search(rf"python +{re.escape(PYTHON)}, CPython .* PyTorch \d", done.stdout)
    assert "ended with code 1" in done.stdout
    words = " ".join(done.stdout.split())
    assert f"there is no NVIDIA driver here. On the simulated GPU: vramtrack run --sim -- {PYTHON}" in words
    assert "no NVIDIA driver" in done.stderr  # PyTorch's own message


def test_audit_in_words(tmp_path):
    double = PROGRAMS / "libcupti_double.so"
    environment = sim_environment(tmp_path, ["", double], trace=False)
    environment |= {"VRAMTRACK_AUDIT": "1", "VRAMTRACK_CUPTI_LIBRARY": str(double), "HIDDEN": "1"}
    done = doctor("--", PROGRAMS / "door_regressions", "witness", environment=environment)
    assert re.search(r"audit +CUPTI saw 3 allocations, missed 2: cuMemAlloc_v2 2 times", done.stdout)
