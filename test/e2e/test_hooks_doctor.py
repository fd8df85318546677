"""vramtrack doctor: what will be hooked, in plain words."""

import os
import re
import subprocess

import pytest

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
    assert re.fullmatch(r"error: /bin/true: it allocated nothing .*\n", done.stderr)


def test_command_that_makes_no_cuda_call():
    """Its environment is not to blame: a note. One that starts CUDA and shows no allocation is another matter."""
    done = doctor("--sim", "--", PYTHON, "-c", "import ctypes; ctypes.CDLL('libcudart.so.13')")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^note +trace +it made no CUDA call, so there was nothing to see$", done.stdout, re.M)
    starts = "import ctypes; assert ctypes.CDLL('libcudart.so.13').cudaFree(None) == 0"
    done = doctor("--sim", "--", PYTHON, "-c", starts)
    assert done.returncode == 1
    assert re.search(r"^MISSING +trace +it allocated nothing through CUDA .*$", done.stdout, re.M)
    assert "though it used CUDA" in done.stderr
    assert re.fullmatch(r"error: .*: it allocated nothing .*\n", done.stderr)


def test_pytorch_program_on_a_machine_without_a_gpu(tmp_path):
    """What a newcomer does first: the interpreter that is named is looked at, and the way out is named."""
    script = tmp_path / "train.py"
    script.write_text("import torch\ntorch.nn.Linear(4, 4).cuda()\n")
    done = doctor("--", PYTHON, script)
    assert done.returncode == 1
    assert re.search(rf"python +{re.escape(PYTHON)}, CPython 3\.\d+", done.stdout)
    assert re.search(r"ok +torch +\d+\.\d.*, through the shared CUDA runtime", done.stdout)
    assert "ended with code 1" in done.stdout
    words = " ".join(done.stdout.split())
    assert f"there is no NVIDIA driver here. On the simulated GPU: vramtrack run --sim -- {PYTHON}" in words
    assert "no NVIDIA driver" in done.stderr  # PyTorch's own message


def test_simulated_gpu_and_a_script(tmp_path):
    """--sim needs no driver; a script's first line tells the interpreter to look at, also through env."""
    script = tmp_path / "train"
    script.write_text("import torch\ntorch.nn.Linear(4, 4).cuda()\n")
    script.write_text(f"#!/usr/bin/env -S {PYTHON}\n" + script.read_text())
    script.chmod(0o755)
    done = doctor("--sim=24GiB", "--", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{script}, a script for {PYTHON}" in done.stdout and "MISSING" not in done.stdout
    assert re.search(rf"python +{re.escape(PYTHON)}, CPython", done.stdout)
    assert re.search(r"device 0 +NVIDIA H100 .*\(simulated\), 24.0 GiB", done.stdout)
    assert re.search(r"seen in CUDA +1 allocation on device 0", done.stdout)
    assert re.search(r"seen in PyTorch +2 allocations on device 0", done.stdout)


def make_file(text="", mode=0o755):
    def make(path):
        path.write_text(text)
        path.chmod(mode)

    return make


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "command not found; write a path, or a program of the PATH"),
        (lambda path: path.mkdir(), "is a folder, not a program"),
        (make_file(mode=0o644), "is not executable; chmod +x it, or name its interpreter"),
        (make_file("#!/nonexistent/python\n"), "its first line names /nonexistent/python, which is not there"),
    ],
    ids=["missing", "folder", "not executable", "no interpreter"],
)
def test_what_cannot_be_started(make, words, tmp_path):
    """One line that says what to do, before anything else is printed."""
    program = tmp_path / "program"
    make(program)
    done = doctor("--", program)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"error: {re.escape(str(program))}: {re.escape(words)}.*\n", done.stderr)


def test_statically_linked(tmp_path):
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "program"
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    done = doctor("--sim", "--", program)
    assert done.returncode == 1
    assert re.search(rf"MISSING +program +{re.escape(str(program))} is statically linked: the loader", done.stdout)
    assert done.stderr.startswith(f"error: {program}: {program} is statically linked")


def test_audit_in_words(tmp_path):
    double = PROGRAMS / "libcupti_double.so"
    environment = sim_environment(tmp_path, ["", double], trace=False)
    del environment["VRAMTRACK_SIM"]  # that would put the simulated GPU before the double
    environment |= {"VRAMTRACK_AUDIT": "1", "VRAMTRACK_CUPTI_LIBRARY": str(double), "HIDDEN": "1"}
    done = doctor("--", PROGRAMS / "door_regressions", "witness", environment=environment)
    assert re.search(r"audit +CUPTI saw 3 allocations, missed 2: cuMemAlloc_v2 2 times", done.stdout)
