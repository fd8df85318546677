"""Every command, given every kind of input that it cannot use: one error line with the file and what to do, exit code 1,
and never a crash. Usage mistakes: exit code 2 and the nearest name."""

import json
import os
import random
import re
import struct
import subprocess

import pytest

from conftest import PYTHON, VRAMTRACK

FORMATS = ["text", "json", "html", "folded", "speedscope", "pprof", "perfetto", "torch-snapshot"]

# Every command that takes an input file, `@` in its place; `!` is a good report.
COMMANDS = {
    **{f"report {name}": ["report", "@", "--format", name] for name in FORMATS},
    "report at peak": ["report", "@", "--at", "peak"],
    "flamegraph": ["flamegraph", "@"],
    "diff first": ["diff", "@", "!"],
    "diff second": ["diff", "!", "@"],
    "merge": ["merge", "@"],
    "merge second": ["merge", "!", "@"],
    "top": ["top", "--once", "@"],
    "dump": ["dump", "@"],
    "dump history": ["dump", "--history", "@"],
}
TRACES_ONLY = {"top", "dump", "dump history"}

PROGRAM = """
import ctypes
cuda = ctypes.CDLL("libcudart.so.13")
def allocate(size, depth):
    if depth: return allocate(size, depth - 1)
    address = ctypes.c_void_p()
    assert cuda.cudaMalloc(ctypes.byref(address), ctypes.c_size_t(size)) == 0
    return address
for n in range(300):
    kept = allocate(1000 + n, n % 7)
    if n % 3: cuda.cudaFree(kept)
cuda.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(1 << 50))
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """(trace, report) of a real run with a history and an out-of-memory event."""
    out = tmp_path_factory.mktemp("good")
    command = [VRAMTRACK, "run", "--quiet", "--history", "--sim", "-o", out, "--", PYTHON, "-c", PROGRAM]
    subprocess.run([str(word) for word in command], check=True, timeout=120)
    (trace,) = out.glob("*.vtrace")
    return trace, trace.with_suffix(".json")


def tool(command, bad="", good="", size_limit=None, **keywords):
    words = [str(VRAMTRACK), *(str(bad) if w == "@" else str(good) if w == "!" else w for w in command)]
    if os.geteuid() == 0:  # root may read everything, unless it gives that up
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
    if size_limit:
        words = ["prlimit", f"--fsize={size_limit}", *words]
    return subprocess.run(words, capture_output=True, timeout=60, stdin=subprocess.DEVNULL, **keywords)


def bad_inputs(folder, trace, report):
    """name -> (path, what the error line must say)"""
    whole = trace.read_bytes()
    document = json.loads(report.read_text())
    header = whole.index(b"VRAMTRC\n")
    newer = bytearray(whole)
    struct.pack_into("<I", newer, header + 8, 999)
    empty_folder = folder / "folder"
    empty_folder.mkdir()
    unreadable = folder / "unreadable.vtrace"
    unreadable.write_bytes(whole)
    unreadable.chmod(0)

    def file(name, content):
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return {
        "empty": (file("empty", b""), "empty|not a vramtrack trace"),
        "text": (file("text", "hello\n" * 100), "not a vramtrack trace"),
        "random": (file("random", random.Random(1).randbytes(200_000)), "not a vramtrack trace"),
        "ELF": (VRAMTRACK, "not a vramtrack trace"),
        "zeros": (file("zeros", bytes(1 << 20)), "not a vramtrack trace"),
        "head of a trace": (file("head", whole[:100]), r"cut off.*at byte 100"),
        "newer trace": (file("newer", newer), r"newer than this program's \d+ .*at byte \d+.*"),
        "folder": (empty_folder, "folder|directory"),
        "missing": (folder / "missing.vtrace", "No such file|not there|does not exist"),
        "through a file": (folder / "text" / "x.vtrace", "Not a directory"),
        "unreadable": (unreadable, "Permission denied"),
        "memory": ("/proc/self/mem", "not a vramtrack trace"),
        "broken JSON": (file("broken.json", '{"schema": "vramtrack-report/1", '), r"not valid JSON.*at byte \d+"),
        "half a report": (file("half.json", report.read_bytes()[:3000]), r"not valid JSON.*at byte \d+"),
        "other JSON": (file("other.json", '{"name": "package", "version": 1}'), "not a report"),
        "JSON array": (file("array.json", "[1, 2, 3]"), "not a"),
        "newer report": (file("newer.json", json.dumps({**document, "schema": "vramtrack-report/2"})), "vramtrack-report/2"),
        "deep JSON": (file("deep.json", '{"a":' + "[" * 200_000), "not valid JSON|nested"),
        "wrong type": (file("type.json", json.dumps({**document, "sites": 5})), "sites"),
        "wrong index": (
            file("index.json", json.dumps({**document, "sites": [{**document["sites"][0], "stack": [10**6]}]})),
            "names frame 1000000, which is not there",
        ),
        "huge number": (
            file("huge.json", json.dumps({**document, "sites": [{**document["sites"][0], "live_bytes": 1e300}]})),
            "live_bytes",
        ),
        "not UTF-8": (file("latin.json", b'{"schema": "vramtrack-report/1", "process": {"command": ["\xff\xfe"]}}'), "JSON"),
    }


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_unusable_input_is_one_error_line(command, good, tmp_path):
    problems = []
    for name, (path, expected) in bad_inputs(tmp_path, *good).items():
        done = tool(command, path, good[1])
        error = done.stderr.decode()
        fine = (
            done.returncode == 1
            and error.startswith("error: ")
            and error.count("\n") == 1
            and str(path) in error
            and len(error) < 600
            and (";" in error or "give" in error)  # what to do
            and (re.search(expected, error) or (command[0] in ("top", "dump") and str(path).endswith(".json")))
        )
        if not fine:
            problems.append((name, done.returncode, error[:300]))
    assert not problems


def test_truncated_trace_gives_a_smaller_report_or_an_error(good, tmp_path):
    whole = good[0].read_bytes()
    read = 0
    for size in [*range(0, 4096, 512), *range(4096, len(whole), len(whole) // 24)]:
        path = tmp_path / "cut.vtrace"
        path.write_bytes(whole[:size])
        done = tool(["report", "@", "--format", "json"], path)
        if done.returncode == 0:
            read += 1
            report = json.loads(done.stdout)
            assert report["losses"]["notes"] or report["losses"]["torn_records"], size
        else:
            assert done.returncode == 1 and done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1
    assert read > 5


def test_flipped_bits_never_crash(good, tmp_path):
    """The reader alone is fuzzed elsewhere (test/fuzz); here everything behind it: analysis, symbols, every format."""
    whole = good[0].read_bytes()
    chance = random.Random(20)
    used = [at for at in range(0, len(whole), 8) if whole[at : at + 8] != bytes(8)]
    commands = [command for name, command in COMMANDS.items() if name not in ("diff first", "merge second")]
    for round in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 3, 30, 300])):
            damaged[chance.choice(used) + chance.randrange(8)] ^= 1 << chance.randrange(8)
        path = tmp_path / "flipped.vtrace"
        path.write_bytes(damaged)
        command = commands[round % len(commands)]
        done = tool(command, path, good[1])
        assert done.returncode in (0, 1), (round, command, done.returncode, done.stderr)
        if done.returncode == 1:
            assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, (round, command, done.stderr)


def test_flipped_report_never_crashes(good, tmp_path):
    whole = good[1].read_bytes()
    chance = random.Random(21)
    commands = [command for name, command in COMMANDS.items() if name not in TRACES_ONLY]
    for round in range(45):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 2, 5])):
            # Digits for digits mostly, so that the JSON stays valid and the mistake reaches what is behind the parser.
            at = chance.randrange(len(damaged))
            damaged[at] = ord(chance.choice("0123456789")) if chr(damaged[at]).isdigit() else damaged[at] ^ 1
        path = tmp_path / "flipped.json"
        path.write_bytes(damaged)
        command = commands[round % len(commands)]
        done = tool(command, path, good[1])
        assert done.returncode in (0, 1), (round, command, done.returncode, done.stderr)
        if done.returncode == 1:
            assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, (round, command, done.stderr)


def test_output_that_cannot_be_written(good, tmp_path):
    (tmp_path / "folder").mkdir()
    for output in ("/dev/full", tmp_path / "none" / "x", tmp_path / "folder", "/proc/x"):
        for command in (["report", "@", "--format", "json"], ["flamegraph", "@"], ["merge", "@"], ["diff", "@", "@"], ["dump", "@"]):
            done = tool([*command, "-o", str(output)], good[0])
            assert done.returncode == 1, (output, command, done)
            error = done.stderr.decode()
            assert error.startswith(f"error: {output}: ") and error.count("\n") == 1 and "-o" in error, (output, command, error)
    limited = tool(["report", "@", "--format", "json", "-o", str(tmp_path / "long.json")], good[0], size_limit=4096)
    assert limited.returncode == 1 and limited.stderr.decode().startswith(f"error: {tmp_path}/long.json: cannot write: File too large")
    assert list((tmp_path / "folder").iterdir()) == [] and list(tmp_path.glob("*part*")) == []
    with open("/dev/full", "w") as full:
        for command in COMMANDS.values():
            done = subprocess.run(
                [str(VRAMTRACK), *(str(good[command[0] in ("diff", "merge")] if w in "@!" else w) for w in command)],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
            assert done.returncode == 1 and done.stderr.startswith(b"error: "), (command, done)


@pytest.mark.parametrize(
    "words, near",
    [
        (["reprot", "x"], "report"),
        (["flamegraf", "x"], "flamegraph"),
        (["doktor"], "doctor"),
        (["report", "x", "--formt", "json"], "--format"),
        (["report", "x", "--format", "flded"], "folded"),
        (["flamegraph", "x", "--max-alocations", "3"], "--max-allocations"),
        (["diff", "a", "b", "--fail-if-gerw", "1"], "--fail-if-grew"),
        (["merge", "a", "--skip-unreadble"], "--skip-unreadable"),
        (["top", "--onec", "1"], "--once"),
        (["dump", "x", "--histroy"], "--history"),
        (["run", "--quite", "--", "true"], "--quiet"),
        (["run", "--no-pyton", "--", "true"], "--no-python"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_nearest_name(words, near):
    done = tool(words)
    error = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b"")
    assert error.startswith("error: ") and error.count("\n") == 1 and f"did you mean {near}?" in error


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["report"],
        ["diff", "one"],
        ["report", "x", "--at", "yesterday"],
        ["report", "x", "--at", "oom:0"],
        ["report", "x", "--at", "oom:x"],
        ["report", "x", "--min-size", "big"],
        ["report", "x", "--width", "3"],
        ["report", "x", "--top", "many"],
        ["report", "x", "y", "--format", "json"],
        ["diff", "a", "b", "--by", "colour"],
        ["run"],
        ["run", "--"],
        ["run", "--no-trace", "--", "true"],
        ["run", "--sim=0x24GiB", "--", "true"],
        ["run", "--sim=24GiBB", "--", "true"],
        ["run", "--sim=-1", "--", "true"],
        ["run", "--sim=99x1GiB", "--", "true"],
        ["run", "--min-size", "x", "--", "true"],
        ["run", "--fail-on-leak=x", "--", "true"],
        ["run", "-o"],
        ["top"],
        ["top", "--interval", "0", "1"],
        ["ps", "extra"],
        ["no-such-command-at-all"],
    ],
    ids=" ".join,
)
def test_usage_mistakes_exit_2(words, tmp_path):
    done = tool(words, cwd=tmp_path)
    assert done.returncode == 2, done
    assert done.stdout == b"" and done.stderr
    if words:
        assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_bad_environment_variables_do_not_stop_the_program(tmp_path):
    """With a bare preload nobody is there to refuse a wrong value: the program runs, and the mistake is said."""
    preload = subprocess.run(
        [str(VRAMTRACK), "run", "--quiet", "--sim", "-o", str(tmp_path / "o"), "--", "sh", "-c", "echo $LD_PRELOAD"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM + "print('end')"],
        env={
            **os.environ,
            "LD_PRELOAD": preload,
            "VRAMTRACK_SIM": "8GiB",
            "VRAMTRACK_OUT": str(tmp_path / "out"),
            "VRAMTRACK_MIN_SIZE": "huge",
            "VRAMTRACK_FAIL_ON_LEAK": "much",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "end\n")
    assert "VRAMTRACK_MIN_SIZE=huge is not a size" in done.stderr
    assert "VRAMTRACK_FAIL_ON_LEAK=much is not a size" in done.stderr
    assert len(list((tmp_path / "out").glob("*.json"))) >= 1
