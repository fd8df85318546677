"""Surroundings that are against us: limits, full disks, folders that cannot be written, other libraries."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import PYTHON, ROOT, VRAMTRACK
from test_robustness import CUDA, sizes, tool

ALLOCATES = CUDA + "kept = [allocate(512) for _ in range(3000)]\nprint('end')\n"


def launch(tmp_path, before, source=ALLOCATES, *options):
    script = tmp_path / "script.py"
    script.write_text(source)
    command = f"{before}\nexec {VRAMTRACK} run --sim -o {tmp_path}/out {' '.join(options)} -- {PYTHON} {script}"
    return subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)


def test_file_size_limit_over_everything(tmp_path):
    """The limit holds for the launcher too. The program does not notice, and what was lost is said."""
    lifted = """
import resource  # only while the simulated device makes its memory file
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
cuda.cudaMemGetInfo(ctypes.byref(ctypes.c_size_t()), ctypes.byref(ctypes.c_size_t()))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
"""
    done = launch(tmp_path, "ulimit -S -f 320", CUDA + lifted + ALLOCATES)
    assert (done.returncode, done.stdout) == (0, "end\n")
    assert done.stderr.count("stops growing") == 1
    assert list((tmp_path / "out").glob("*.part-*")) == []


@pytest.mark.parametrize("room", ["there is some", "there is none"])
def test_disk_full(tmp_path, room):
    """A file system of 400 KiB of its own, where one may be mounted; else the limit on file sizes stands for it."""
    fill = f"head -c 1M /dev/zero > {tmp_path}/out/filler 2> {tmp_path}/said" if room == "there is none" else "true"
    inside = f"""
mount -t tmpfs -o size=400k tmpfs {tmp_path}/out || exit 99
{fill}
{VRAMTRACK} run --sim -o {tmp_path}/out -- {PYTHON} {tmp_path}/script.py
code=$?
ls {tmp_path}/out
exit $code"""
    (tmp_path / "out").mkdir()
    (tmp_path / "script.py").write_text(ALLOCATES)
    done = subprocess.run(["unshare", "--mount", "--map-root-user", "bash", "-c", inside], capture_output=True, text=True)
    if done.returncode in (1, 99) and "end" not in done.stdout:  # no mount is allowed here
        (tmp_path / "limit").mkdir()
        return test_file_size_limit_over_everything(tmp_path / "limit")
    assert ".part-" not in done.stdout
    assert done.returncode == 0 and "end\n" in done.stdout, done
    assert done.stderr.count("stops growing") == 1
    # Not that no CUDA memory was allocated: that is not known.
    assert done.stderr.count("the file system is full; there is no trace") == (room == "there is none")
    assert "no CUDA memory" not in done.stderr


def test_address_space_limit(tmp_path):
    """20 GB, of which the simulated device takes 16 GiB: less than our usual reservations."""
    done = launch(tmp_path, "ulimit -v 20000000", ALLOCATES, "--sim=64MiB")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    (report,) = (tmp_path / "out").glob("*.json")
    assert len(sizes(json.loads(report.read_text()))) == 3000


def test_few_descriptors(tmp_path):
    done = launch(tmp_path, "ulimit -n 32")
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    (report,) = (tmp_path / "out").glob("*.json")
    assert len(sizes(json.loads(report.read_text()))) == 3000


def test_ignored_child_signal(tmp_path):
    """A parent that ignores SIGCHLD: the exit code is still the program's."""
    done = launch(tmp_path, "trap '' CHLD", CUDA + "kept = allocate(100)\nsys.exit(7)\n", "--quiet")
    assert (done.returncode, done.stderr) == (7, "")
    ignored = PYTHON + " -c 'import signal; print(signal.getsignal(signal.SIGCHLD))'"
    wrapped = subprocess.run(
        ["bash", "-c", f"trap '' CHLD; {VRAMTRACK} run --quiet -o {tmp_path}/o -- {ignored}; {ignored}"], capture_output=True, text=True
    ).stdout.splitlines()
    assert wrapped[0] == wrapped[1]


def test_output_folder_removed_during_the_run(tmp_path):
    source = CUDA + f"kept = allocate(100)\nimport shutil\nshutil.rmtree({str(tmp_path / 'out')!r})\n" + ALLOCATES
    done = launch(tmp_path, "true", source)
    assert (done.returncode, done.stdout) == (0, "end\n")
    assert "was removed during the run" in done.stderr
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written(tmp_path):
    """A working folder without write access, and no -o: the program runs untraced, with one line."""
    done = tool("run", "--sim", "--", PYTHON, "-c", ALLOCATES, cwd="/proc")
    assert (done.returncode, done.stdout) == (0, "end\n")
    assert done.stderr.count("\n") == 1 and "runs untraced" in done.stderr and "-o" in done.stderr


def test_another_preload_stays(tmp_path):
    source = tmp_path / "other.c"
    source.write_text("int vramtrack_test_other(void) { return 42; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "other.so", source], check=True)
    done = tool(
        *("run", "--quiet", "--sim", "-o", tmp_path / "out", "--", PYTHON, "-c"),
        ALLOCATES + "print(ctypes.CDLL(None).vramtrack_test_other())",
        env={**os.environ, "LD_PRELOAD": str(tmp_path / "other.so")},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n42\n", "")
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


def test_set_uid_program_is_named(tmp_path):
    program = shutil.which("su")  # belongs to root, so that it is another's for every other user
    if os.geteuid() == 0:
        program = shutil.copy(shutil.which("true"), tmp_path / "program")
        os.chown(program, 65534, -1)
        os.chmod(program, 0o4755)
    done = tool("run", "-o", tmp_path / "out", "--", program, "--version")
    assert done.returncode == 0
    assert f"{program} is set-uid: nothing can be preloaded into it" in done.stderr


# --- what tracing costs the program's memory ---------------------------------------------------------------------------


def test_memory_of_the_traced_process(tmp_path):
    source = f"""
import os, resource, runpy, sys
runpy.run_path({str(ROOT / "docs/examples/leaky_train.py")!r}, run_name="__main__")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    out = tmp_path / "out"
    peaks = []
    for options in (("--no-trace",), ("--quiet", "-o", out)):
        done = tool("run", "--sim", *options, "--", PYTHON, "-c", source)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 48 * 1024  # KiB; the promise is 64 MiB
    (trace,) = out.glob("*.vtrace")
    assert trace.stat().st_blocks * 512 < 6 << 20 and trace.stat().st_size < 6 << 20  # the promise is 8 MB
