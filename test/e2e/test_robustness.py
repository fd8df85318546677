"""Programs that end badly leave a complete report; programs of every kind run as if vramtrack were not there."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import PYTHON, ROOT, VRAMTRACK

PROGRAMS = ROOT / "test" / "corpus" / "robustness"

# No package but ctypes: a program that starts at once.
CUDA = """
import ctypes, os, signal, subprocess, sys, threading, time
cuda = ctypes.CDLL("libcudart.so.13")
def allocate(size):
    address = ctypes.c_void_p()
    assert cuda.cudaMalloc(ctypes.byref(address), ctypes.c_size_t(size)) == 0
    return address
"""


def tool(*arguments, **keywords):
    keywords = {"capture_output": True, "text": True, "timeout": 120, **keywords}
    return subprocess.run([str(VRAMTRACK), *map(str, arguments)], **keywords)


def sizes(report):
    return sorted(a["bytes"] for a in report["allocations"] if a["layer"] == "cuda")


# --- however a program ends ---------------------------------------------------------------------------------------------

ENDINGS = {
    "the end": ("pass", 0, ("exit", 0)),
    "os._exit": ("os._exit(9)", 9, ("exit", 9)),
    "abort": ("os.abort()", 134, ("signal", 6)),
    "uncaught exception": ("raise ValueError('no')", 1, ("exit", 1)),
    "null pointer": ("ctypes.string_at(0)", 139, ("signal", 11)),
    "stack overflow": (
        "callback = ctypes.CFUNCTYPE(None)\n"
        "@callback\ndef again(): again()\n"
        "sys.setrecursionlimit(10**9); threading.stack_size(1 << 20)\n"
        "t = threading.Thread(target=again); t.start(); t.join()",
        139,
        ("signal", 11),
    ),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 143, ("signal", 15)),
    "handled SIGTERM": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
        4,
        ("exit", 4),
    ),
    "SIGINT": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", 130, ("signal", 2)),
    # As the out-of-memory killer of the host: no warning, from outside, in the middle of other threads' work.
    "killed from outside": (
        "def work():\n"
        "    while True: cuda.cudaFree(allocate(4096))\n"
        "for _ in range(4): threading.Thread(target=work, daemon=True).start()\n"
        "subprocess.Popen(['sh', '-c', f'sleep 0.2; kill -9 {os.getpid()}']); time.sleep(60)",
        137,
        ("killed", 9),
    ),
    "exit from a thread": ("t = threading.Thread(target=lambda: os._exit(6)); t.start(); time.sleep(60)", 6, ("exit", 6)),
    "exit by the C library": ("ctypes.CDLL(None).exit(8)", 8, ("exit", 8)),
    "quick_exit": ("ctypes.CDLL(None).quick_exit(11)", 11, ("exit", 11)),
    "terminal closed": ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", 129, ("signal", 1)),
    "CPU time limit": (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass",
        152,
        ("signal", 24),
    ),
}


@pytest.mark.parametrize("ending, code, end", ENDINGS.values(), ids=ENDINGS)
def test_every_end_is_reported(traced, ending, code, end):
    run = traced(CUDA + "kept = [allocate(1000), allocate(2000), allocate(3000)]\ncuda.cudaFree(kept[1])\n" + ending)
    assert run.code == code, run.stderr
    report = run.report()
    assert (report["process"]["end"]["kind"], report["process"]["end"]["code"]) == end
    kept = [s for s in sizes(report) if s != 4096]
    assert kept == [1000, 3000]
    assert report["losses"]["dropped_events"] == 0
    assert f"pid {report['process']['pid']}" in run.stderr
    frames = [report["frames"][f] for f in report["sites"][0]["stack"]]
    assert any(f["kind"] == "python" and f["function"] == "allocate" for f in frames)


def test_bare_preload_leaves_a_trace_of_a_crash(tmp_path):
    """Without the launcher nobody is there to write the report; the trace is complete all the same."""
    script = tmp_path / "crash.py"
    script.write_text(CUDA + "kept = allocate(1000)\nctypes.string_at(0)\n")
    environment = tool("run", "--quiet", "--sim", "--", "sh", "-c", "echo $LD_PRELOAD", cwd=tmp_path).stdout.strip()
    crashed = subprocess.run(
        [PYTHON, script],
        env={**os.environ, "LD_PRELOAD": environment, "VRAMTRACK_SIM": "8GiB", "VRAMTRACK_OUT": str(tmp_path / "bare")},
        capture_output=True,
    )
    assert crashed.returncode == -signal.SIGSEGV
    (trace,) = (tmp_path / "bare").iterdir()
    report = json.loads(tool("report", trace, "--format", "json").stdout)
    assert sizes(report) == [1000]
    assert report["process"]["end"]["kind"] == "unknown"


def test_torch_killed_in_training_with_workers(traced):
    """kill -9 from outside between two allocations, with DataLoader workers and a pinning thread alive.

    The workers outlast the epochs: one that is forked as its parent dies takes init for its parent and never ends
    (PyTorch's `ManagerWatchdog` asks for the parent's pid in the child), with the test's pipe in its hands.
    """
    run = traced(
        """
import os, signal, subprocess, torch
from torch.utils.data import DataLoader
model = torch.nn.Linear(64, 64, device="cuda")
optimizer = torch.optim.AdamW(model.parameters())
loader = DataLoader(torch.randn(64, 64), batch_size=8, num_workers=2, pin_memory=True, persistent_workers=True)
killer = None
while True:
    for batch in loader:
        model(batch.cuda()).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    killer = killer or subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {os.getpid()}"])
"""
    )
    assert run.code == 137, run.stderr
    report = run.report()
    assert report["process"]["end"] == {"kind": "killed", "code": 9}
    assert report["steps"]["count"] >= 8
    roles = {a["bytes"] for a in report["allocations"] if a["layer"] == "tensor"}
    assert 64 * 64 * 4 in roles  # weight, its state
    (total,) = [t for t in report["totals"] if t["layer"] == "tensor"]
    assert total["live_bytes"] == sum(a["bytes"] for a in report["allocations"] if a["layer"] == "tensor") > 0


# --- children ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_child_has_its_own_report(traced, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(CUDA + "kept = allocate(int(sys.argv[1])); print(os.getpid())\n")
    run = traced(
        CUDA
        + f"""
import multiprocessing
def work(size):
    global kept
    kept = allocate(size)
if __name__ == "__main__":
    if (forked := os.fork()) == 0:
        kept = allocate(200)
        os._exit(0)
    os.waitpid(forked, 0)
    spawned = multiprocessing.get_context("spawn").Process(target=work, args=(300,))
    spawned.start(); spawned.join()
    executed = subprocess.run([sys.executable, {str(child)!r}, "400"], check=True, capture_output=True)
    shelled = os.popen(f"sh -c 'exec {{sys.executable}} {child} 500'").read()
    mine = allocate(100)
    print(forked, spawned.pid, int(executed.stdout), int(shelled), flush=True)
    subprocess.run(["true"], check=True)
"""
    )
    assert run.code == 0, run.stderr
    pids = [int(word) for word in run.stdout.split()]
    reports = run.reports()
    assert len(reports) == 5
    assert [sizes(reports[pid]) for pid in pids] == [[200], [300], [400], [500]]
    (main,) = set(reports) - set(pids)
    assert sizes(reports[main]) == [100]
    assert reports[pids[0]]["process"]["forked_from"] == main
    assert [reports[pid]["process"]["forked_from"] for pid in pids[1:]] == [None] * 3
    assert reports[pids[1]]["process"]["ppid"] == main
    assert all(report["process"]["end"] == {"kind": "exit", "code": 0} for report in reports.values())


# --- C++ programs, with and without ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    program = tmp_path_factory.mktemp("host") / "host"
    source = PROGRAMS / "host.cpp"
    subprocess.run(["g++", "-std=c++20", "-Wall", "-O1", "-o", program, source, "-ldl", "-pthread"], check=True)
    return program


def both(tmp_path, command, **keywords):
    """(plain, traced) of a command on the simulated GPU, without and with vramtrack, and the traced one's reports."""
    plain = tool("run", "--sim", "--no-trace", "--", *command, **keywords)
    out = tmp_path / "both"
    shutil.rmtree(out, ignore_errors=True)
    traced = tool("run", "--quiet", "--sim", "-o", out, "--", *command, **keywords)
    reports = [path for path in sorted(out.glob("vramtrack-*.json")) if ".oom-" not in path.name]
    return plain, traced, [json.loads(path.read_text()) for path in reports]


@pytest.mark.parametrize(
    "mode, code, live",
    [
        ("exceptions", 0, 0),
        ("terminates", 134, 0),
        ("cancellation", 0, 3000 * 512),
        ("small_stacks", 0, 0),
        ("errors", 0, 0),
        ("threads", 0, 600 * 512),
        ("closes_all", 0, 100 + 20000 * 512),
    ],
)
def test_cpp_host_is_unchanged(host, tmp_path, mode, code, live):
    plain, traced, (report,) = both(tmp_path, [host, mode])
    assert plain.returncode == code, plain
    assert (traced.returncode, traced.stdout, traced.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert plain.stdout.count("\n") >= 1
    assert sum(t["live_bytes"] for t in report["totals"] if t["layer"] == "cuda") == live
    assert report["losses"]["dropped_events"] == 0


def test_two_hundred_children(host, tmp_path):
    plain, traced, reports = both(tmp_path, [host, "children"])
    assert plain.stdout == "ended 180, killed 20\nmalloc 0\nfree 0, exceptions 0\n"
    assert (traced.returncode, traced.stdout, traced.stderr) == (0, plain.stdout, plain.stderr)
    children = [r for r in reports if r["process"]["forked_from"]]
    assert len(children) == 200 and len(reports) == 201
    assert all(sizes(report) == [1000] for report in children)
    ends = [report["process"]["end"]["kind"] for report in children]
    assert (ends.count("exit"), ends.count("unknown")) == (180, 20)


def test_exceptions_through_pytorch(tmp_path):
    plain, traced, (report,) = both(tmp_path, [PYTHON, PROGRAMS / "torch_exceptions.py", "uncaught"])
    assert plain.returncode == 1 and plain.stdout.count("raised") >= 25 and "KeyError: 'in backward'" in plain.stderr

    def same(text):  # addresses; and of the simulated device's free bytes, what the order of threads decides
        return re.sub(r"0x[0-9a-f]+|\d+\.\d+ [GM]iB|(?<=Process )\d+", "", text)

    assert (traced.returncode, same(traced.stdout)) == (1, same(plain.stdout))
    assert same(traced.stderr) == same(plain.stderr)
    assert len(report["ooms"]) >= 4


# --- programs that have nothing to do with CUDA --------------------------------------------------------------------------

SHELL = {
    "pipeline": "seq 1000 | sort -r | uniq -c | awk '{s += $2} END {print s}'; exit 3",
    "signals": "sh -c 'kill -TERM $$'; echo $?; trap 'echo trapped' USR1; kill -USR1 $$",
    "git": "git init -q r && cd r && git -c user.name=n -c user.email=e commit -q --allow-empty -m m && git log --format=%s",
    "perl": "perl -e 'print join(q{,}, map {$_ ** 2} 1..5), qq{\\n}; exit 300 % 256'",
    "strace": "strace -f -e trace=exit_group -o /dev/null sh -c 'echo traced; exit 5'",
    "no descriptors": "ulimit -n 8; ls /proc/self/fd | wc -l; echo $?",
    "descriptors": "ls -l /proc/self/fd | sed 's/.*-> //' | grep -v /proc/ | sed 's/:.*//' ",
    "no address space": "ulimit -v 200000; ls / | head -2; /bin/true; echo $?",
    "file sizes": "ulimit -f 1; head -c 5000 /dev/zero > big; echo $?; stat -c %s big",
    "closed stdin": "exec <&-; cat; echo $?",
    "closed stdout": "exec >&-; echo gone; echo $? >&2",
    "closed streams": "exec <&- >&- 2>&-; echo x > first; echo done > marker; echo lost; exit 4",
    "environment": "env -i /bin/sh -c 'echo $LD_PRELOAD $PATH'",
    "time": "TZ=UTC date -d @0; sleep 0.01 & wait; echo $!  | grep -c .",
    "limits": "ulimit -a | grep -v 'pending signals'; umask; nice",
    "folder": "cd /proc && ls -d self; cd / && pwd",
    "not found": "no-such-command-here; echo $?",
    "many": "for i in $(seq 200); do /bin/true & done; wait; echo $?",
    "python": f"{PYTHON} -c 'import sys, os, json, threading, sqlite3, ssl; print(sys.version, os.getcwd()); sys.exit(19)'",
    "python errors": f"{PYTHON} -c 'import ctypes; print(ctypes.CDLL(None, use_errno=True).close(999), ctypes.get_errno()); 1/0'",
    "closing all": f"{PYTHON} -c 'import os; os.closerange(3, 5000); print(open(\"/dev/null\").fileno()); os.closerange(0, 3)'",
    "daemon": "(setsid sh -c 'sleep 0.1; echo late > daemon') < /dev/null > /dev/null 2>&1 & wait; cat daemon",
    "preload errors": "LD_PRELOAD=/nonexistent.so /bin/echo x",
    "unbuffered binary": "head -c 3000 /dev/zero | tr '\\0' '\\377' | od -c | head -3",
}


@pytest.mark.parametrize("script", SHELL.values(), ids=SHELL)
def test_program_is_unchanged(script, tmp_path):
    def run(name, *prefix):
        folder = tmp_path / name / "work"
        folder.mkdir(parents=True)
        done = subprocess.run(
            [*map(str, prefix), "bash", "-c", script], cwd=folder, capture_output=True, timeout=60, stdin=subprocess.DEVNULL
        )
        files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.iterdir() if p.is_file()}
        place = str(folder).encode()
        errors = re.sub(rb"\b\d{3,}\b", b"PID", done.stderr.replace(place, b""))
        return done.returncode, done.stdout.replace(place, b""), errors, files

    plain = run("plain")
    out = tmp_path / "out"
    assert run("traced", VRAMTRACK, "run", "--quiet", "--sim", "-o", out, "--") == plain
    assert list(out.iterdir()) == []


def test_closed_streams_do_not_reach_our_files(tmp_path):
    """With all three standard streams closed, no message of ours lands in a report or in a file of the program."""
    script = tmp_path / "script.py"
    script.write_text(
        CUDA + "kept = allocate(1000)\nfile = open('mine', 'w')\nfile.write(str(file.fileno()))\nfile.flush()\nctypes.string_at(0)\n"
    )
    command = f"exec {VRAMTRACK} run --sim -o {tmp_path}/out -- {PYTHON} {script} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path).returncode == 139
    (report,) = (tmp_path / "out").glob("*.json")
    assert sizes(json.loads(report.read_text())) == [1000]
    assert (tmp_path / "mine").read_text().isdigit()


def test_own_words_never_kill(tmp_path):
    """Our line on a full disk goes to a stderr whose reader is gone, from a program that SIGPIPE would end."""
    script = tmp_path / "script.py"
    script.write_text(
        CUDA
        + """
import resource
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
kept = allocate(100)
read, write = os.pipe()
os.dup2(write, 2)
os.close(read); os.close(write)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for _ in range(20000): allocate(512)
print("end")
"""
    )
    done = tool("run", "--quiet", "--sim", "-o", tmp_path / "out", "--", PYTHON, script)
    assert (done.returncode, done.stdout) == (0, "end\n")
    (report,) = (tmp_path / "out").glob("*.json")
    assert json.loads(report.read_text())["losses"]["dropped_events"] > 1000
