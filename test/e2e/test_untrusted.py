"""What comes out of files that others wrote: no character that turns, hides or rings, no library's own words, no figure
that contradicts another without a word, and no "No problem found" where nothing was recorded."""

import gzip
import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from conftest import BUILD, PYTHON, ROOT, VRAMTRACK

# Escape sequences, bells, C1 controls, and what turns or hides text (bidi marks, isolates, zero width).
HOSTILE = "a\x1b[31m\x07\u202e\u2066\u200f\u061c\u200b\u2028\x85\x7fz"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
EXPORTS = ["text", "json", "html", "folded", "speedscope", "pprof", "perfetto", "torch-snapshot", "github", "sarif"]

SCRIPT = """
import ctypes
cuda = ctypes.CDLL("libcudart.so.13")
kept = [ctypes.c_void_p() for _ in range(9)]
for n, one in enumerate(kept):
    assert cuda.cudaMalloc(ctypes.byref(one), ctypes.c_size_t(1000 << n)) == 0
cuda.cudaFree(kept[0])
"""


def tool(*arguments, **keywords):
    keywords = {"timeout": 60, "stdin": subprocess.DEVNULL, **keywords}
    return subprocess.run([str(VRAMTRACK), *map(str, arguments)], capture_output=True, **keywords)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp(HOSTILE.replace("\x1b", ""))
    script = folder / "train\u202e.py"
    script.write_text(SCRIPT)
    done = tool("run", "--sim", "--quiet", "-o", folder / "out", "--", PYTHON, script, HOSTILE)
    assert done.returncode == 0, done.stderr
    (trace,) = (folder / "out").glob("*.vtrace")
    return trace


def poisoned(value, key=""):
    """Every text of a report that the traced program chose."""
    if isinstance(value, dict):
        return {k: poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, key) for v in value]
    free = ("function", "file", "source", "message", "title", "fix", "owner", "command", "executable", "hostname", "module",
            "name", "holder", "path", "type", "variable", "notes", "python", "torch")
    return value + HOSTILE if isinstance(value, str) and key in free else value


def texts(value):
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_no_output_carries_unsafe_characters(good, tmp_path):
    report = json.loads(good.with_suffix(".json").read_text())
    report["findings"] = [{"code": "growing-site", "severity": "warning", "title": "t", "message": "m", "site": 0, "file": "/src/x.py",
                           "line": 3, "variable": "v", "bytes": 5, "evidence": {}, "fix": "f", "docs": ""}]
    hostile = tmp_path / "hostile.json"
    hostile.write_text(json.dumps(poisoned(report)))
    outputs = {f"report {name}": ["report", hostile, "--format", name] for name in EXPORTS}
    outputs |= {f"trace {name}": ["report", good, "--format", name] for name in ("text", "folded", "github", "json", "html")}
    outputs |= {"dump": ["dump", good], "flamegraph": ["flamegraph", hostile], "merge": ["merge", hostile, good, "-o", "-"],
                **{f"diff {name}": ["diff", hostile, good, "--format", name] for name in ("text", "json", "html")}}
    for name, command in outputs.items():
        done = tool(*command)
        assert done.returncode == 0, (name, done.stderr)
        raw = gzip.decompress(done.stdout) if done.stdout.startswith(b"\x1f\x8b") else done.stdout
        if name in ("report pprof", "report perfetto", "report torch-snapshot"):  # binary: only what is drawn from it
            assert not any(mark.encode() in raw for mark in "\u202e\u2066\u200f\u061c\u2028"), name
            continue
        text = raw.decode()
        found = UNSAFE.search(text.replace("\r\n", "\n") if "html" not in name and name != "flamegraph" else re.sub("<style.*?</style>|<script>.*?</script>", "", text, flags=re.S))
        assert not found, (name, text[max(0, found.start() - 80) : found.end() + 20])
        if name in ("report sarif", "report speedscope"):  # what a viewer decodes and shows
            assert not any(UNSAFE.search(t) for t in texts(json.loads(text))), name
        if name == "report json":  # nothing is lost: data is data
            assert json.loads(text)["process"]["hostname"] == report["process"]["hostname"] + HOSTILE


def test_errors_are_our_own_words(good, tmp_path):
    """Whatever a field holds: a report or one line in plain words, with the file's name."""
    report = json.loads(good.with_suffix(".json").read_text())
    path = tmp_path / "odd.json"
    odd = [1e300, -1e300, 1e19, -5, 2**70, "text", [1], {"a": 1}, True, None, [], ""]
    places = [("process", "duration"), ("process", "pid"), ("totals", 0, "live_bytes"), ("totals", 0, "peak_at_time"),
              ("sites", 0, "growth", "bytes_per_second"), ("sites", 0, "evidence"), ("sites", 0, "first_time"), ("sites", 0, "stack"),
              ("timeline", 0, "time"), ("allocations", 0, "time"), ("environment", "devices"), ("losses", "notes"), ("frames", 0, "line"),
              ("steps", "count"), ("findings",), ("holders",), ("ooms",), ("allocations", 0, "tensor")]
    for place in places:
        for value in odd:
            changed = json.loads(json.dumps(report))
            target = changed
            for step in place[:-1]:
                target = target[step]
            target[place[-1]] = value
            path.write_text(json.dumps(changed))
            done = tool("report", path, "--format", EXPORTS[(len(place) + odd.index(value)) % len(EXPORTS)])
            said = done.stderr.decode()
            assert done.returncode in (0, 1), (place, value, done)
            if done.returncode == 1:
                assert said.startswith(f"error: {path}: ") and said.count("\n") == 1 and ";" in said, (place, value, said)
            assert not re.search(r"json\.exception|basic_string|filesystem error|std::|\(error \d", said), (place, value, said)
    path.write_text('{"schema": "vramtrack-report/1", "process": {"duration": 1e999}}')
    said = tool("report", path).stderr.decode()
    assert said.startswith(f"error: {path}: ") and "exception" not in said, said
    for command in (["report", "/proc/self/fd/77/x"], ["merge", "/root\0x".replace("\0", "") + "/no"], ["report", "x" * 5000], ["report", good, "-o", "y" * 300]):
        said = tool(*command).stderr.decode()
        assert said.startswith("error: ") and said.count("\n") == 1 and "filesystem error" not in said, said


def test_failing_to_record_is_said_in_words(tmp_path):
    """No number where a word is meant."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    preload = [BUILD / "lib" / "libvramtrack.so", *((BUILD / "lib" / "sim" / n) for n in (BUILD / "lib" / "sim" / "preload.txt").read_text().split())]
    env = {**os.environ, "LD_PRELOAD": ":".join(map(str, preload)), "VRAMTRACK_SIM": "1GiB", "VRAMTRACK_OUT": str(tmp_path / "out")}
    limited = SCRIPT.replace("kept =", "ctypes.CDLL(\"libcuda.so.1\").cuInit(0); import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\nkept =")
    done = subprocess.run([PYTHON, "-c", limited], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "File too large" in done.stderr and "(error" not in done.stderr, done.stderr
    assert list((tmp_path / "out").iterdir()) == []
    done = subprocess.run([PYTHON, "-c", SCRIPT], env={**env, "VRAMTRACK_OUT": str(blocked / "x")}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Not a directory" in done.stderr, done.stderr


def test_a_report_without_data_finds_nothing(tmp_path):
    path = tmp_path / "empty.json"
    path.write_text('{"schema": "vramtrack-report/1", "process": {"pid": 5, "command": ["a"], "end": {"kind": "exit", "code": 0}}}')
    for name in ("text", "github"):
        done = tool("report", path, "--format", name)
        assert done.returncode == 0 and b"No problem" not in done.stdout and b"Nothing was recorded" in done.stdout, done
    assert b"Nothing was recorded: this report holds no data" in tool("report", path, "--html").stdout


# Offsets within an account and a site (docs/trace-format.md), and the fields behind them in each.
ACCOUNT = {"live_bytes": 8, "live_count": 16, "allocated_bytes": 40, "allocated_count": 48, "freed_bytes": 56, "freed_count": 64}
SITE = {"live_bytes": 16, "live_count": 24, "allocated_bytes": 40, "allocated_count": 48, "freed_bytes": 56, "freed_count": 64}


def test_a_flipped_counter_is_shown(good, tmp_path):
    whole = bytearray(good.read_bytes())
    assert not any("damaged" in note for note in notes_of(good))
    for at in range(0, len(whole), 65536):
        whole[at + 16 : at + 24] = bytes(8)  # the seals: here the figures are to give themselves away
    header = whole.index(b"VRAMTRC\n")
    sites = next(at for at in range(0, len(whole), 65536) if struct.unpack_from("<I", whole, at)[0] == 3) + 64
    blocks = next(at for at in range(0, len(whole), 65536) if struct.unpack_from("<I", whole, at)[0] == 4) + 64
    places = {f"account {n} {k}": header + 392 + 104 * n + at for n in (0, 1) for k, at in ACCOUNT.items()}
    places |= {f"site {k}": sites + at for k, at in SITE.items()} | {"block": blocks + 48 + 8}
    path = tmp_path / "flipped.vtrace"
    for name, at in places.items():
        for bit in (0, 13, 40):
            flipped = bytearray(whole)
            flipped[at + bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            assert any("damaged" in note for note in notes_of(path)), (name, bit)
    text = tool("report", path).stdout.decode()
    assert re.search(r"note: the file is damaged: .*not to be trusted", " ".join(text.split())), text


def test_the_launcher_seals_what_it_leaves(good, tmp_path):
    """A change anywhere in the file is seen, also where no figure contradicts another: here in a name."""
    whole = good.read_bytes()
    in_use = [at for at in range(0, len(whole), 65536) if struct.unpack_from("<I", whole, at)[0]]
    assert in_use and all(whole[at + 16 : at + 20] == b"SEAL" for at in in_use[:2])
    path = tmp_path / "changed.vtrace"
    path.write_bytes(whole.replace(b"libcudart", b"libcubart"))
    assert any("file is damaged" in note and "changed after its process had ended" in note for note in notes_of(path))


def notes_of(trace):
    done = tool("report", trace, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["losses"]["notes"]


def test_fuzz_targets_build_and_run(tmp_path):
    """A few seconds of each; test/fuzz/run.py alone takes an hour, with sanitizers."""
    assert shutil.which("clang++"), "clang is not installed (dev/install.sh lists it)"
    done = subprocess.run([PYTHON, ROOT / "test" / "fuzz" / "run.py", "--against", BUILD, "--seconds", "15", "--keep", tmp_path / "found"],
                          capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    counts = dict(re.findall(r"^(\w+): (\d+) executions", done.stdout, re.M))
    assert len(counts) == 5 and all(int(count) > 0 for count in counts.values()), done.stdout
