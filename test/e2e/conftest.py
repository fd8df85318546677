"""Fixtures of the end-to-end tests: every program runs under the built tool on the simulated GPU."""

import ctypes
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build"))
VRAMTRACK = BUILD / "bin" / "vramtrack"
LIBRARY = BUILD / "lib" / "libvramtrack.so"
# ./test.sh runs pytest with the environment that has PyTorch; ./test.sh --arm runs programs of another processor.
PYTHON = os.environ.get("VRAMTRACK_TEST_PYTHON", sys.executable)


# What a plain run leaves out, by mark: each needs something that not every machine has, and runs alone when asked for.
LEFT_OUT = {
    "gpu": "need a real GPU (./test.sh --gpu)",
    "sanitize": "build with sanitizers (./test.sh --sanitize)",
}


def pytest_addoption(parser):
    for mark, what in LEFT_OUT.items():
        parser.addoption(f"--{mark}", action="store_true", help=f"run only the tests that {what.split(' (')[0]}")


# A shell's background job, or nohup, hands signals on as ignored, and so would every program that the tests start.
for inherited in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(inherited) is signal.SIG_IGN:
        signal.signal(inherited, signal.default_int_handler if inherited == signal.SIGINT else signal.SIG_DFL)


def pytest_configure(config):
    for mark, what in LEFT_OUT.items():
        config.addinivalue_line("markers", f"{mark}: tests that {what}")
    config.addinivalue_line("markers", "torch: tests whose programs need PyTorch, in files that are also run without")
    config.addinivalue_line("markers", "alone: GPU tests that need all of its memory, or no other work beside theirs")


def pytest_collection_modifyitems(config, items):
    asked = {mark for mark in LEFT_OUT if config.getoption(f"--{mark}")}
    kept = [item for item in items if marks(item) & asked or not (asked or marks(item))]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept
    if "VRAMTRACK_TEST_PYTHON" in os.environ and subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode:
        for item in items:
            if item.get_closest_marker("torch"):
                item.add_marker(pytest.mark.skip(reason=f"{PYTHON} has no PyTorch"))


def marks(item):
    return {mark.name for mark in item.iter_markers()} & LEFT_OUT.keys()


def pytest_terminal_summary(terminalreporter, config):
    for mark, what in LEFT_OUT.items():
        if not config.getoption(f"--{mark}"):
            terminalreporter.write_line(f"not run here: the tests that {what}")


class Run:
    """One finished traced run: exit code, outputs, and the files that it left in its output folder."""

    def __init__(self, completed, out):
        self.code = completed.returncode
        self.stdout = completed.stdout
        self.stderr = completed.stderr
        self.out = out

    def traces(self):
        return sorted(self.out.glob("vramtrack-*.vtrace"))

    def reports(self):
        """The reports of the run by pid, OOM reports left out."""
        found = {}
        for path in sorted(self.out.glob("vramtrack-*.json")):
            if ".oom-" not in path.name:
                found[int(path.stem.split("-")[1])] = json.loads(path.read_text())
        return found

    def report(self):
        """The only report of the run."""
        reports = self.reports()
        assert len(reports) == 1, f"{list(reports)} in {self.out}\n{self.stderr}"
        return next(iter(reports.values()))

    def oom(self, n=1):
        paths = sorted(self.out.glob(f"vramtrack-*.oom-{n}.json"))
        assert len(paths) == 1, f"{paths}\n{self.stderr}"
        return json.loads(paths[0].read_text())


@pytest.fixture(autouse=True, scope="session")
def symbol_cache(tmp_path_factory):
    """The tests share a cache of their own: the user's is neither read nor written."""
    os.environ["VRAMTRACK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """The process that programs of the corpus may run in (warm.py), one for each worker."""
    from warm import Warm

    host = Warm(tmp_path_factory.mktemp("warm"))
    yield host
    host.end()


@pytest.fixture
def traced(tmp_path):
    """traced(command, *options, sim="80GiB", env={}) -> Run. `command` is a list, or Python source text."""

    count = 0

    def run(command, *options, sim="80GiB", env=None, timeout=300, cwd=None, python=PYTHON):
        nonlocal count
        count += 1
        out = tmp_path / f"out{count}"
        if isinstance(command, str):
            script = tmp_path / f"script{count}.py"
            script.write_text(command)
            command = [python, script]
        arguments = [VRAMTRACK, "run", "-o", out]
        if sim:
            arguments.append(f"--sim={sim}")
        arguments += [*options, "--", *command]
        completed = subprocess.run(
            [str(a) for a in arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd or tmp_path,
            env={**os.environ, **(env or {})},
        )
        return Run(completed, out)

    return run


@pytest.fixture
def finished(traced, warm, tmp_path):
    """finished(path, *arguments) -> the report of a program that ends well, and what it printed."""
    from warm import is_suitable

    def run(path, *arguments):
        if not is_suitable(path):
            done = traced([PYTHON, path, *arguments])
            assert done.code == 0, done.stderr
            return done.report(), done.stdout
        reports, code = warm.run(path, tmp_path, arguments)
        assert code == 0, (tmp_path / "stderr").read_text()
        return reports[0], (tmp_path / "stdout").read_text()

    return run


@pytest.fixture
def vramtrack(tmp_path):
    """vramtrack("report", path, ...) -> CompletedProcess of the tool itself."""

    def call(*arguments, **keywords):
        return subprocess.run(
            [str(VRAMTRACK), *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=tmp_path, **keywords
        )

    return call


# ---- on a real GPU ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_gpu():
    """Fails, with the reason, where there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        pytest.fail(f"--gpu was asked for, but there is no NVIDIA driver here: {error}")
    count = ctypes.c_int()
    result = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if result != 0 or count.value == 0:
        pytest.fail(f"--gpu was asked for, but the driver answers {result} and has {count.value} devices")


@pytest.fixture
def share_of_the_gpu(request, tmp_path_factory):
    """Tests marked `alone` have the GPU to themselves, all others share it."""
    alone = request.node.get_closest_marker("alone") is not None
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # one for all workers
    with open(base / "gpu.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture
def audited(traced):
    """Runs a program on the GPU with --audit: its report, in which CUPTI's count says that nothing was missed."""

    def run(command, *options, **environment):
        done = traced(command, "--audit", *options, sim=None, env=environment)
        assert done.code == 0, done.stderr
        report = done.report()
        audit = report["audit"]
        assert audit["unavailable"] is None and audit["complete"], (audit, done.stderr)
        assert audit["allocations"] > 0
        assert (audit["missed"], audit["missed_functions"]) == (0, []), audit
        assert report["environment"]["simulated"] is False
        assert {k: report["losses"][k] for k in ("dropped_events", "unknown_frees")} == {"dropped_events": 0, "unknown_frees": 0}
        return report, done

    return run


def owners(report):
    return {owner["owner"]: owner["bytes"] for entry in report["ledger"] for owner in entry["owners"]}
