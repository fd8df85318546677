"""The diagnostic log: silent unless asked for, on standard error alone, and each kind of line."""

import os
import re
import subprocess

import pytest
from conftest import PYTHON, ROOT, VRAMTRACK

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} vramtrack\[\d+\] (debug|trace): (.*)$")

NATIVE = """
extern int cudaMalloc(void** pointer, unsigned long bytes);
int take(void** pointer, unsigned long bytes) { return cudaMalloc(pointer, bytes) + 0 * bytes; }
"""
SCRIPT = """
import ctypes
ctypes.CDLL("libcudart.so.12", ctypes.RTLD_GLOBAL)
mine = ctypes.CDLL({library!r})
pointer = ctypes.c_void_p()
assert mine.take(ctypes.byref(pointer), ctypes.c_ulong(1 << 20)) == 0
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A trace of a program that allocates in a library whose debug information is in a file of its own."""
    folder = tmp_path_factory.mktemp("logged")
    library = folder / "libmine.so"
    source = folder / "mine.c"
    source.write_text(NATIVE)
    subprocess.run(["gcc", "-g", "-O0", "-shared", "-fPIC", "-Wl,--build-id", "-o", library, source], check=True)
    debug = folder / "libmine.so.debug"
    subprocess.run(["objcopy", "--only-keep-debug", library, debug], check=True)
    subprocess.run(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", library], check=True)
    script = folder / "script.py"
    script.write_text(SCRIPT.format(library=str(library)))
    out = folder / "out"
    subprocess.run(
        [VRAMTRACK, "run", "--quiet", "--sim=1GiB", "-o", out, "--", PYTHON, script], check=True, timeout=120
    )
    (trace,) = out.glob("*.vtrace")
    return {"trace": trace, "library": library, "debug": debug, "script": script}


def report(recorded, *options, **variables):
    environment = {**os.environ, "VRAMTRACK_CACHE": "off", **variables}
    command = [VRAMTRACK, "report", *options, "--format", "json", recorded["trace"]]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


def messages(stderr):
    lines = [LINE.match(line) for line in stderr.splitlines()]
    assert all(lines), stderr
    return [(line[1], line[2]) for line in lines]


def test_silent_unless_asked_for(recorded):
    assert report(recorded).stderr == ""
    assert report(recorded, VRAMTRACK_LOG="0").stderr == ""


def test_standard_output_stays_the_same(recorded):
    plain = report(recorded).stdout
    for options in (["-v"], ["-vv"], ["--verbose"], ["-v", "-v"]):
        logged = report(recorded, *options)
        assert logged.stdout == plain and logged.stderr


def test_the_variable_does_what_the_option_does(recorded):
    kinds = lambda done: {kind for kind, _ in messages(done.stderr)}  # noqa: E731
    assert kinds(report(recorded, "-v")) == kinds(report(recorded, VRAMTRACK_LOG="1")) == {"debug"}
    assert kinds(report(recorded, "-vv")) == kinds(report(recorded, VRAMTRACK_LOG="2")) == {"debug", "trace"}
    assert kinds(report(recorded, "-v", VRAMTRACK_LOG="2")) == {"debug"}


def test_what_was_read_and_how_long_it_took(recorded):
    said = [text for _, text in messages(report(recorded, "-vv").stderr)]
    trace, library = recorded["trace"], recorded["library"]
    assert any(re.match(rf"trace: {trace}: \d+ call sites, .* 0 torn records$", text) for text in said)
    assert any(re.match(rf"library: {library}: [1-9]\d* symbols, lines of 1 units$", text) for text in said)
    assert any(text.startswith(f"debug file: {recorded['debug']} for {library}") for text in said)
    assert any(text.startswith(f"source file: {recorded['script']}: ") for text in said)
    steps = {text.split(": ")[1] for text in said if text.startswith("time: ")}
    assert {
        f"read {trace}",
        "facts, at exit",
        "call sites and the names of their stacks",
        "holders",
        "findings",
        "write json",
    } <= steps


def test_what_is_missing_and_where_it_was_looked_for(recorded):
    aside = recorded["debug"].with_suffix(".aside")
    recorded["debug"].rename(aside)
    try:
        said = [text for _, text in messages(report(recorded, "-v").stderr)]
    finally:
        aside.rename(recorded["debug"])
    library = recorded["library"]
    assert any(re.match(rf"library: {library}: [1-9]\d* symbols, no line information$", text) for text in said)
    (missing,) = [text for text in said if text.startswith(f"debug file: none for {library}: looked for ")]
    assert "/usr/lib/debug/.build-id/" in missing and str(recorded["debug"]) in missing


def test_what_was_skipped_and_why(recorded):
    moved = []
    for name in ("library", "script"):
        aside = recorded[name].with_suffix(".aside")
        moved.append((recorded[name].rename(aside), recorded[name]))
    try:
        said = [text for _, text in messages(report(recorded, "-vv", "--min-size", "1GiB").stderr)]
    finally:
        for aside, path in moved:
            aside.rename(path)
    assert f"skipped: {recorded['library']} is not there any more: its functions have no names" in said
    assert f"skipped: source file {recorded['script']}: No such file or directory" in said
    assert any(re.match(r"skipped: call site \d+: \d+ bytes, less than --min-size$", text) for text in said)


def test_names_of_earlier_runs(recorded, tmp_path):
    report(recorded, VRAMTRACK_CACHE=str(tmp_path))
    said = [text for _, text in messages(report(recorded, "-v", VRAMTRACK_CACHE=str(tmp_path)).stderr)]
    assert any(
        re.match(rf"library: {recorded['library']}: [1-9]\d* names of earlier runs, from {tmp_path}/", t) for t in said
    )


def test_a_run_logs_after_its_program(recorded, traced):
    """The traced process is told nothing of it and says nothing; its output and exit code are its own."""
    program = "import os, sys; print(os.environ.get('VRAMTRACK_LOG')); " + SCRIPT.format(
        library=str(recorded["library"])
    )
    run = traced(
        [PYTHON, "-c", program + "\nprint('end', file=sys.stderr, flush=True); sys.exit(3)"],
        "-v",
        "--quiet",
        sim="1GiB",
    )
    assert run.code == 3 and run.stdout == "None\n"
    said = run.stderr.splitlines()
    assert said[0] == "end" and {kind for kind, _ in messages("\n".join(said[1:]))} == {"debug"}
    assert any(f"library: {recorded['library']}: " in line for line in said)


def test_a_hostile_name_moves_no_cursor(recorded, tmp_path):
    bad = tmp_path / "bad\x1b[2J\n.vtrace"
    bad.write_bytes(recorded["trace"].read_bytes())
    said = report({"trace": bad}, "-v").stderr
    assert "\x1b" not in said and messages(said)


def test_every_command_takes_it():
    for name in re.findall(r'^COMMAND\(\w+, "(\w+)"', (ROOT / "tools" / "commands.def").read_text(), re.M):
        assert (
            "-v,--verbose"
            in subprocess.run([VRAMTRACK, name, "--help"], capture_output=True, text=True, check=True).stdout
        ), name
