"""Two threads, 10^6 mixed calls, each sanitizer: no report, and a ledger that equals the driver's books. All unit tests,
built with the sanitizers: no report.

Builds what it needs (./test.sh --sanitize; up to half an hour the first time). The simulated GPU is the ordinary build's: the
sanitizers see the library and the program, and the locks of both."""

import os
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT
from test_hooks import sim_environment
from test_hooks_regressions import check_stress

pytestmark = pytest.mark.sanitize

REPORTS = {"thread": "ThreadSanitizer", "address": "AddressSanitizer", "undefined": "runtime error:"}
RUNTIMES = {"thread": "libtsan.so", "address": "libasan.so", "undefined": "libubsan.so"}
CALLS = 1_000_000
SUPPRESSIONS = ROOT / "test" / "e2e" / "libunwind.tsan"


def build(sanitizer, *targets):
    folder = BUILD / f"sanitize-{sanitizer.replace(',', '-')}"
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    options = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DVRAMTRACK_TESTS=ON", f"-DVRAMTRACK_SANITIZE={sanitizer}",
               "-DVRAMTRACK_TOGETHER=ON", *launcher]
    for command in (
        ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *options],
        ["cmake", "--build", folder, *(["--target", *targets] if targets else [])],
    ):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def runtime(sanitizer):
    compiler = os.environ.get("CXX", "g++")
    name = ["-print-file-name=" + RUNTIMES[sanitizer]]
    path = subprocess.run([compiler, *name], check=True, capture_output=True, text=True).stdout.strip()
    assert os.path.isabs(path), f"{compiler} has no {RUNTIMES[sanitizer]}"
    return path


@pytest.mark.parametrize("sanitizer", REPORTS)
def test_two_threads(sanitizer, tmp_path):
    folder = build(sanitizer, "vramtrack_preload", "door_stress")
    preload = [runtime(sanitizer), folder / "lib" / "libvramtrack.so"]
    environment = sim_environment(tmp_path, ["", *preload], trace=False)
    environment |= {
        "TSAN_OPTIONS": f"exitcode=66 history_size=4 suppressions={SUPPRESSIONS}",
        "ASAN_OPTIONS": "exitcode=66 detect_leaks=0",  # what the library holds at exit it holds on purpose
        "UBSAN_OPTIONS": "print_stacktrace=1 halt_on_error=1",
    }
    program = folder / "test" / "corpus" / "door_stress"
    done = subprocess.run([str(program), "2", str(CALLS)], env=environment, capture_output=True, text=True, timeout=900)
    assert REPORTS[sanitizer] not in done.stderr, done.stderr[:5000]
    assert check_stress(done, tmp_path) > 0.4 * CALLS


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_unit_tests(sanitizers):
    folder = build(sanitizers)
    environment = os.environ | {
        # A test starts a thread in a forked child; another captures a stack in a signal handler, where the bounds of its
        # thread's stack are asked for once, as CUDA's own calls allocate there.
        "TSAN_OPTIONS": f"exitcode=66 die_after_fork=0 report_signal_unsafe=0 suppressions={SUPPRESSIONS}",
        "ASAN_OPTIONS": "exitcode=66 detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1 halt_on_error=1",
    }
    done = subprocess.run(["ctest", "--test-dir", folder, "-L", "unit", "--output-on-failure", "--no-tests=error"],
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
