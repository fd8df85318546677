"""What other interposers broke (HAMi-core's issues, torch_memory_saver, cuda-rt-hook), as regression tests of ours: in each
mode of test/corpus/doors/regressions.cpp the program prints the same with and without vramtrack."""

import re
import subprocess

import pytest

from conftest import BUILD, LIBRARY, PYTHON
from test_hooks import PROGRAMS, VRAMTRACK, sim_environment

MODES = {
    "capture": "HAMi-core#192: allocation during stream capture",
    "no_context": "HAMi-core#172: cuMemCreate on a thread without a context",
    "host_location": "HAMi-core#187: physical memory that is not on a device",
    "null_out": "HAMi-core#333: NULL out-parameters",
    "versions": "HAMi-core#57 and #52: the version that was asked, not the newest",
    "per_thread": "HAMi-core ignores the per-thread stream flag",
    "self_handle": "HAMi-core#215: cudnn and cublas names are none of ours; RTLD_NEXT is the caller's",
    "old_driver": "HAMi-core#36: a driver without cuGetProcAddress_v2",
}


def run(command, out, trace=True, preload=(), **changes):
    environment = {**sim_environment(out, preload or ["", ""], trace=trace), "PROGRAMS": str(PROGRAMS), **changes}
    return subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, timeout=300)


def dump(out):
    """(what, fields) of each line of the only trace's dump."""
    traces = sorted(out.glob("*.vtrace"))
    assert len(traces) == 1, traces
    text = subprocess.run([VRAMTRACK, "dump", traces[0]], check=True, capture_output=True, text=True).stdout
    return [(line.split(" ", 1)[0], dict(re.findall(r"(\w+)=(\S+)", line))) for line in text.splitlines()]


def live_blocks(out):
    return {int(f["address"], 16): int(f["bytes"]) for what, f in dump(out) if what == "block"}


@pytest.mark.parametrize("mode", MODES, ids=MODES.get)
def test_same_with_and_without(mode, tmp_path):
    plain = run([PROGRAMS / "door_regressions", mode], tmp_path, trace=False)
    traced = run([PROGRAMS / "door_regressions", mode], tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert traced.returncode == 0, traced.stderr

    def without_addresses(text):
        return re.sub(r"0x[0-9a-f]+", "0x", text)

    assert without_addresses(traced.stdout) == without_addresses(plain.stdout)
    assert plain.stdout.count("\n") >= 6
    told = re.findall(r"^block \S+ (0x\w+) (\d+)$", traced.stdout, re.M)
    if told:
        blocks = live_blocks(tmp_path)
        for address, size in told:
            assert blocks[int(address, 16)] == int(size)


def test_absent_cuda_stays_absent(tmp_path):
    """Our exports must not make a program without CUDA believe that it has one; and it leaves no file."""
    environment = {k: v for k, v in sim_environment(tmp_path).items() if k != "LD_PRELOAD"}
    command = [PROGRAMS / "door_regressions", "absent"]
    plain = subprocess.run(command, env=environment, capture_output=True, text=True)
    traced = subprocess.run(command, env={**environment, "LD_PRELOAD": str(LIBRARY)}, capture_output=True, text=True)
    assert (traced.returncode, traced.stdout, traced.stderr) == (0, plain.stdout, "")
    assert "cudaMalloc" in plain.stdout and "= 1\n" in plain.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", [True, False], ids=["before us", "after us"])
def test_another_interposer(before, tmp_path):
    """It is still reached, as often as without us, and each block is recorded once."""
    double = PROGRAMS / "libimports_double.so"
    preload = [double, ""] if before else ["", double]
    command = [PROGRAMS / "doors_linked_13", "linked", "13"]
    plain = run(command, tmp_path, trace=False, preload=preload, DOUBLE_TELLS="1")
    traced = run(command, tmp_path, preload=preload, DOUBLE_TELLS="1")
    calls = re.search(r"double mallocs \d+ frees \d+", plain.stderr).group()
    assert calls != "double mallocs 0 frees 0"
    assert calls in traced.stderr
    losses = next(f for what, f in dump(tmp_path) if what == "losses")
    assert (losses["replaced_blocks"], losses["unknown_frees"]) == ("0", "0")


@pytest.mark.parametrize("runtime", [12, 13])
def test_both_runtimes_opened_locally(runtime, tmp_path):
    """Two libraries, each linked to its own major, all opened with RTLD_LOCAL: each call reaches its own runtime. (In
    cudaGraphAddNode the two differ in their arguments.)"""
    environment = sim_environment(tmp_path)
    environment["LD_LIBRARY_PATH"] = str(BUILD / "lib" / "sim")
    command = [PROGRAMS / "doors", "local", str(runtime)]
    plain = subprocess.run(command, env={**environment, "LD_PRELOAD": ""}, capture_output=True, text=True, timeout=60)
    traced = subprocess.run(
        command, env={**environment, "LD_PRELOAD": str(LIBRARY)}, capture_output=True, text=True, timeout=60
    )
    assert plain.returncode == traced.returncode == 0, (plain.stderr, traced.stderr)

    def results(text):
        return [line for line in text.splitlines() if line.startswith("result")]

    assert results(traced.stdout) == results(plain.stdout)
    assert "result cudaGraphAddNode keep 0" in traced.stdout
    # (Of graph memory see test_hooks.py.)
    books = {int(address, 16) for address in re.findall(r"^oracle - (0x\w+) (?!module|graph)", traced.stdout, re.M)}
    graphs = {int(address, 16) for address in re.findall(r"^live \w+ (0x\w+) \d+ graph", traced.stdout, re.M)}
    assert books and live_blocks(tmp_path).keys() == books | graphs


def check_stress(done, out):
    """The ledger of a finished door_stress equals the driver's books, kind by kind."""
    assert done.returncode == 0, done.stderr
    kinds = ["device", "pool", "managed", "host_pinned", "array", "vmm"]
    books = {
        kinds[int(kind)]: (int(size), int(count))
        for kind, size, count in re.findall(r"^books (\d+) (\d+) (\d+)$", done.stdout, re.M)
        if int(kind) < len(kinds) and int(count) > 0
    }
    lines = dump(out)
    recorded = {
        f["kind"]: (int(f["live_bytes"]), int(f["live_count"]))
        for what, f in lines
        if what == "account" and f["kind"] != "all" and int(f["live_count"]) > 0
    }
    assert recorded == books
    allocations = sum(int(f["allocated_count"]) for what, f in lines if what == "account" and f["kind"] != "all")
    assert f"allocations {allocations}\n" in done.stdout
    losses = next(f for what, f in lines if what == "losses")
    assert {losses[name] for name in ("dropped_events", "unknown_frees", "replaced_blocks")} == {"0"}
    return allocations


def test_threads_and_an_exact_ledger(tmp_path):
    """10^6 mixed calls by two threads. Under sanitizers: test_hooks_sanitize.py."""
    done = run([PROGRAMS / "door_stress", 2, 1_000_000], tmp_path, VRAMTRACK_NO_NATIVE="1")
    assert check_stress(done, tmp_path) > 400_000


FORKED = """
import ctypes, os, sys
cuda = ctypes.CDLL("libcudart.so.13")
def block(n):
    p = ctypes.c_void_p()
    assert cuda.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(n)) == 0
    return p
if sys.argv[1] == "early":       # before the first use of CUDA, which a child cannot inherit
    if os.fork() == 0:
        block(8192)
        os._exit(0)
    os.wait()
kept = block(4096)
if sys.argv[1] == "late":
    if os.fork() == 0:
        cuda.cudaFree(kept)      # the parent's block: no event of the child's own
        os._exit(0)
    os.wait()
if sys.argv[1] == "exec":
    os.execv(sys.executable, [sys.executable, sys.argv[0], "none"])
if sys.argv[1] == "_exit": os._exit(7)
if sys.argv[1] == "kill": os.kill(os.getpid(), 9)
block(100)
"""


def traces_of(tmp_path, *arguments):
    script = tmp_path / "script.py"
    script.write_text(FORKED)
    out = tmp_path / "out"
    done = run([PYTHON, script, *arguments], out)
    found = {}
    for trace in out.glob("*.vtrace"):
        text = subprocess.run([VRAMTRACK, "dump", trace], check=True, capture_output=True, text=True).stdout
        header = dict(re.findall(r"(\w+)=(\S+)", text.splitlines()[0]))
        sizes = sorted(int(size) for size in re.findall(r"^block .* bytes=(\d+)", text, re.M))
        found[trace.name] = (header, sizes)
    return done, found


def test_forked_child_has_a_trace_of_its_own(tmp_path):
    done, found = traces_of(tmp_path, "early")
    assert done.returncode == 0, done.stderr
    parent = [header for header, _ in found.values() if header["forked_from"] == "0"]
    child = [(header, sizes) for header, sizes in found.values() if header["forked_from"] != "0"]
    assert len(parent) == len(child) == 1
    assert child[0][0]["forked_from"] == parent[0]["pid"]
    assert child[0][1] == [8192] and child[0][0]["end"] == "exit"
    assert [sizes for header, sizes in found.values() if header["forked_from"] == "0"] == [[100, 4096]]


def test_forked_child_that_only_frees_leaves_nothing(tmp_path):
    _, found = traces_of(tmp_path, "late")
    assert len(found) == 1


def test_trace_before_an_exec_is_kept(tmp_path):
    done, found = traces_of(tmp_path, "exec")
    assert done.returncode == 0, done.stderr
    assert sorted(sizes for _, sizes in found.values()) == [[100, 4096], [4096]]


@pytest.mark.parametrize("way, code, end", [("_exit", 7, ("exit", "7")), ("kill", -9, ("running", "0"))])
def test_every_way_out(way, code, end, tmp_path):
    done, found = traces_of(tmp_path, way)
    assert done.returncode == code
    ((header, sizes),) = found.values()
    assert sizes == [4096] and (header["end"], header["code"]) == end


def test_bare_preload_names_the_command_when_it_cannot_report(tmp_path):
    done = run(
        [PYTHON, "-c", "import ctypes; ctypes.CDLL('libcudart.so.13').cudaMalloc(ctypes.byref(ctypes.c_void_p()), 4096)"],
        tmp_path,
        VRAMTRACK_LAUNCHED="",
        VRAMTRACK_REPORTER="/nonexistent/reporter",
    )
    assert done.returncode == 0
    assert re.search(r"Write it with: vramtrack report \S+\.vtrace --format json -o \S+\.json\n", done.stderr)
