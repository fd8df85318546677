#!/usr/bin/env python3
"""CPython's own regression tests under vramtrack, compared test by test with a run without it.

    test/foreign/cpython.py [--python PATH]... [--list] [MODULE...]

Each module runs twice, as a program that has a live trace (it allocates on the simulated GPU before the first test) and
without vramtrack. A test whose outcome differs is run again both ways: what differs three times out of three, and has no
reason in known.txt, is printed, and the exit code is 1. Nothing of CPython is in this repository: its `test` package
comes with most interpreters."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build"))
KNOWN = pathlib.Path(__file__).with_name("known.txt")

# What a preloaded library, its signal handling, its exit path and its agent can disturb.
MODULES = """
test_threading test_thread test_threadsignals test_threading_local test_thread_local_bytecode test_fork1 test_wait3 test_wait4
test_signal test_subprocess test_faulthandler test_gc test_sys test_sys_settrace test_sys_setprofile test_monitoring test_mmap
test_exceptions test_generators test_ctypes test_atexit test_os test_posix test_resource test_signal test_select test_poll
test_eintr test_asyncio.test_subprocess test_multiprocessing_fork test_multiprocessing_forkserver test_concurrent_futures
test_weakref test_frame test_traceback test_inspect test_contextlib test_coroutines test_asyncgen test_bdb test_trace
test_tracemalloc test_time test_locale test_runpy test_site test_embed
""".split()

RUNNER = """
import ctypes, json, sys, unittest
module, results, library = sys.argv[1:4]
sys.argv[1:] = []
if library:
    block = ctypes.c_void_p()
    assert ctypes.CDLL(library).cudaMalloc(ctypes.byref(block), ctypes.c_size_t(1 << 20)) == 0
class Result(unittest.TestResult):
    def tell(self, test, outcome):
        with open(results, "a") as file:
            file.write(json.dumps([test.id(), outcome]) + "\\n")
    def addSuccess(self, test): self.tell(test, "ok")
    def addFailure(self, test, error): self.tell(test, "failed: " + str(error[1])[:300])
    def addError(self, test, error): self.tell(test, "error: " + repr(error[1])[:300])
    def addSkip(self, test, reason): self.tell(test, "skipped")
    def addExpectedFailure(self, test, error): self.tell(test, "expected failure")
    def addUnexpectedSuccess(self, test): self.tell(test, "unexpected success")
    def addSubTest(self, test, subtest, error):
        if error is not None: self.tell(subtest, "failed: " + str(error[1])[:300])
suite = unittest.defaultTestLoader.loadTestsFromName("test." + module)
def chosen(suite, names):
    for part in suite:
        if isinstance(part, unittest.TestSuite): yield from chosen(part, names)
        elif part.id() in names: yield part
names = json.loads(sys.stdin.read() or "null")
if names: suite = unittest.TestSuite(chosen(suite, set(names)))
suite.run(Result())
"""


def run(python, module, traced, names=None, timeout=900):
    """{test: outcome}, and how the interpreter ended."""
    with tempfile.TemporaryDirectory(prefix="vramtrack-foreign-") as folder:
        results = pathlib.Path(folder) / "results"
        results.touch()
        library = BUILD / "lib" / "sim" / "libcudart.so.13" if traced else ""
        words = [python, "-c", RUNNER, module, results, library]
        if traced:
            words = [BUILD / "bin" / "vramtrack", "run", "--sim", "--quiet", "-o", f"{folder}/out", "--", *words]
        try:
            done = subprocess.run([str(word) for word in words], input=json.dumps(names), capture_output=True, text=True,
                                  timeout=timeout, cwd=folder, errors="replace", start_new_session=True)
            end = f"exit code {done.returncode}"
        except subprocess.TimeoutExpired:
            end = "no end"
        outcomes = {}
        for line in results.read_text(errors="replace").splitlines():
            test, outcome = json.loads(line)
            outcomes[test.replace(folder, "")] = outcome.replace(folder, "")
        return outcomes, end


def kind(outcome):
    return (outcome or "not run").partition(":")[0]


def different(plain, traced):
    return sorted(test for test in plain.keys() | traced.keys() if kind(plain.get(test)) != kind(traced.get(test)))


def known():
    """{(module or test, version or ""): reason}: lines `TEST [VERSION]: reason`."""
    lines = [line for line in KNOWN.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def compare(python, module, reasons):
    """(tests, differences that have no reason) of one module, printed as they are found."""
    plain, plain_end = run(python, module, False)
    traced, traced_end = run(python, module, True)
    differences = different(plain, traced)
    for _ in range(2):
        if differences:
            again_plain, _ = run(python, module, False, differences)
            again_traced, _ = run(python, module, True, differences)
            differences = [test for test in differences if test in different(again_plain, again_traced)]
    unexplained = 0
    for test in differences:
        reason = next((why for name, why in reasons.items() if test.startswith(name) or name == module), None)
        unexplained += reason is None
        print(f"  {test}: {plain.get(test, 'not run')} | traced: {traced.get(test, 'not run')}"
              + (f" ({reason})" if reason else ""), flush=True)
    if plain_end != traced_end:
        again = {run(python, module, False)[1] for _ in range(2)}, {run(python, module, True)[1] for _ in range(2)}
        if not again[0] & again[1]:
            unexplained += 1
            print(f"  {module}: {plain_end} | traced: {traced_end}", flush=True)
    return len(plain), unexplained


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--python", action="append", help="interpreter with a `test` package (default: this one)")
    arguments.add_argument("--list", action="store_true", help="print the modules of the long form")
    arguments.add_argument("modules", nargs="*")
    options = arguments.parse_args()
    if options.list:
        print("\n".join(dict.fromkeys(MODULES)))
        return 0
    reasons, worst, tests = known(), 0, 0
    for python in options.python or [sys.executable]:
        print(python, flush=True)
        for module in dict.fromkeys(options.modules or MODULES):
            count, unexplained = compare(python, module, reasons)
            print(f"{module}: {count} tests, {unexplained} differ", flush=True)
            tests += count
            worst += unexplained
    print(f"{tests} tests compared, {worst} differ without a known reason")
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
