"""What must never hurt the program: code that runs before anything is initialised, signal handlers, tracers, large
containers, files and limits that change under the library, forked children, launchers in unusual places.

Programs in test/corpus/host run on a runtime of their own that takes no lock, so that a signal interrupts our code."""

import functools
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

import pythons
from conftest import LIBRARY, PYTHON, ROOT, VRAMTRACK

sys.path.append(str(ROOT / "test" / "foreign"))
import cpython
import faults
import hosts
import kills
import soak
import steps
from hosts import CORPUS, dump, losses, preload


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """build(name, *flags, compiler) -> path of a program of the corpus, linked to the bare runtime."""
    return functools.partial(hosts.build, tmp_path_factory.mktemp("host"))


def preloaded(command, out, libraries=(), timeout=120, **keywords):
    env = {**preload(out, libraries), "ASAN_OPTIONS": "verify_asan_link_order=0", **keywords.pop("env", {})}
    return subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, timeout=timeout,
                          **keywords)


# --- before anything is initialised -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_is_called_before_its_owner_is_ready(order, programs, tmp_path):
    owner = tmp_path / "owner.so"
    subprocess.run(["cc", "-O1", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC", "-o", owner,
                    CORPUS / "owner.c"], check=True)
    libraries = ":".join(map(str, (LIBRARY, owner)[::order]))
    done = preloaded([programs("small")], tmp_path, env={"LD_PRELOAD": libraries})
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "")


def sanitizers():
    """(compiler, flags) that build and run a program here."""
    found = []
    for compiler, flags in [("gcc", f) for f in (["address"], ["address", "-static-libasan"], ["thread"], ["undefined"])] + [
        ("clang", f) for f in (["address"], ["thread"], ["memory"], ["undefined"])]:
        found.append((compiler, [f"-fsanitize={flags[0]}", *flags[1:]]))
    return found


@pytest.mark.parametrize("compiler, flags", sanitizers(), ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_programs_built_with_sanitizers(compiler, flags, tmp_path):
    program = tmp_path / "small"
    subprocess.run([compiler, *flags, "-o", program, CORPUS / "small.c"], check=True)
    done = preloaded([program], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "")
    done = subprocess.run([VRAMTRACK, "run", "--quiet", "-o", tmp_path / "out", "--", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "")


# --- signal handlers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", [(), ("8192",)], ids=["own stack", "8 KiB"])
def test_exit_in_a_handler(stack, programs, tmp_path):
    program = programs("exit_in_handler")
    for n in range(20):
        out = tmp_path / str(n)
        done = preloaded([program, 1500 + 700 * n, *stack], out, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (7, "", ""), n
    assert re.search(r"end_kind=(exit|2|1)|exit", dump(out))


def test_a_handler_that_jumps_out(programs, tmp_path):
    for n in range(3):
        done = preloaded([programs("jump_out"), 100], tmp_path / str(n), timeout=60)
        assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
        lost = "recording stopped: a signal handler jumped out of the recording of an event" in done.stderr
        text = dump(tmp_path / str(n))
        # Either no lock was held at any jump, and both threads were recorded to the end, or it was said.
        assert lost or hosts.account(text)[1] >= 2000


def test_allocations_of_handlers_are_recorded_or_counted(programs, tmp_path):
    done = preloaded([programs("handler_allocates"), 30000], tmp_path)
    assert done.returncode == 0, done.stderr
    own, handlers = map(int, done.stdout.split())
    text = dump(tmp_path)
    _, count = hosts.account(text)
    assert handlers > 10
    assert count + losses(text)["dropped_events"] == own + handlers


# --- what changes under the library -------------------------------------------------------------------------------------


def test_a_truncated_trace_ends_no_program(programs, tmp_path):
    done = preloaded([programs("truncated")], tmp_path)
    assert (done.returncode, done.stdout) == (5, "done\n"), done.stderr
    assert len(re.findall("recording stopped: the trace file was truncated", done.stderr)) == 1
    done = preloaded([programs("truncated"), "signal"], tmp_path)
    assert (done.returncode, done.stdout) == (-signal.SIGBUS, "done\n")


@pytest.mark.parametrize("limit, own", [(18, 15), (3, 2)])
def test_a_limited_address_space_is_the_programs(limit, own, programs, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit << 30, limit << 30))

    done = preloaded([programs("address_space"), own], tmp_path, preexec_fn=limited)
    assert (done.returncode, done.stdout, done.stderr) == (0, "room\n", "")
    assert losses(dump(tmp_path))["dropped_events"] == 0


# --- Python ---------------------------------------------------------------------------------------------------------------

TRACED = """
import ctypes, sys
cuda = ctypes.CDLL("libcudart.so.13")
seen = []
def tracer(frame, event, argument):
    seen.append(frame.f_code.co_filename)
    return tracer
block = ctypes.c_void_p()
(sys.setprofile if sys.argv[1] == "profile" else sys.settrace)(tracer)
for i in range(300):
    cuda.cudaMalloc(ctypes.byref(block), ctypes.c_size_t(1000 + i))
sys.setprofile(None)
sys.settrace(None)
print(sorted({name for name in seen if "vramtrack" in name}), tracer in (sys.getprofile(), sys.gettrace()))
"""


@pytest.mark.parametrize("how", ["profile", "trace"])
@pytest.mark.parametrize("version", pythons.interpreters())
def test_tracers_do_not_see_the_agent(version, how, traced, tmp_path):
    (tmp_path / "tracer.py").write_text(TRACED)
    run = traced([pythons.interpreters()[version], tmp_path / "tracer.py", how], "--quiet")
    assert (run.code, run.stdout, run.stderr) == (0, "[] False\n", "")


def test_hooks_of_torch_are_no_calls_for_a_tracer(traced):
    run = traced("""
import sys, torch
model = torch.nn.Linear(8, 8).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
seen = set()
def tracer(frame, event, argument):
    seen.add(frame.f_code.co_filename)
    seen.add(str(getattr(argument, "__name__", "")))
sys.setprofile(tracer)
for step in range(20):
    model(torch.ones(4, 8, device="cuda")).sum().backward()
    optimizer.step()
sys.setprofile(None)
files = {name for name in seen if name.startswith("/")}  # a clone's folder may be called vramtrack
print(sorted(name for name in seen - files if "vramtrack" in name or "native" in name)
      + sorted(name for name in files if "vramtrack_agent" in name))
""", "--quiet")
    assert (run.code, run.stdout, run.stderr) == (0, "[]\n", "")
    assert run.report()["steps"]["count"] == 20


def test_a_large_list_does_not_hold_the_program_up(traced):
    """Time of the thread, not of the clock: the looks at a list of 40 million elements stay within their budget."""
    run = traced("""
import time, torch
torch.empty(1, device="cuda")
big = [0.5] * 40_000_000
named = {"first": torch.empty(1 << 20, device="cuda")}
kept, longest = [], 0
for i in range(2000):
    before = time.thread_time()
    kept.append(torch.empty(1000, device="cuda"))
    longest = max(longest, time.thread_time() - before)
print(longest)
""", "--quiet")
    assert run.code == 0, run.stderr
    assert float(run.stdout) < 1.0  # 4.7 before; the budget is 0.15, and reading the agent's own code comes on top
    holders = [(block["tensor"] or {}).get("holder", "") for block in run.report()["allocations"]]
    assert any("named" in holder for holder in holders), holders[:20]


FORKED = """
import multiprocessing, os, sys

def train():
    import torch
    torch.set_num_threads(1)
    model = torch.nn.Linear(64, 64).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = []
    for step in range(20):
        model(torch.ones(4, 64, device="cuda")).sum().backward()
        optimizer.step()
        kept.append(torch.empty(1 << 20, device="cuda"))

if __name__ == "__main__":
    if sys.argv[1] == "os.fork":
        if os.fork() == 0:
            train()
            sys.exit(0)
        os.wait()
    elif sys.argv[1] == "os._exit":
        if os.fork() == 0:
            train()
            os._exit(0)
        os.wait()
    else:
        worker = multiprocessing.get_context(sys.argv[1]).Process(target=train)
        worker.start()
        worker.join()
        assert worker.exitcode == 0
"""


@pytest.mark.parametrize("how", ["os.fork", "fork", "forkserver"])
def test_forked_children_have_their_agent(how, traced, tmp_path):
    (tmp_path / "forked.py").write_text(FORKED)
    run = traced([PYTHON, tmp_path / "forked.py", how], "--quiet")
    assert run.code == 0, run.stderr
    report = run.report()
    assert report["steps"]["count"] == 20
    assert any(f["variable"] == "kept" or "kept" in f["title"] for f in report["findings"]), report["findings"]


# --- the launcher -----------------------------------------------------------------------------------------------------


def launch(*words, **keywords):
    return subprocess.run([str(word) for word in (VRAMTRACK, "run", *words)], capture_output=True, text=True, timeout=120,
                          **keywords)


def test_a_signal_to_the_group_comes_once(tmp_path):
    """`timeout` and schedulers send it to the launcher and to the program; a signal to the launcher alone is passed on."""
    script = tmp_path / "count.py"
    script.write_text("""
import os, signal, sys, time
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
print("ready", flush=True)
wanted = int(sys.argv[1])
end = time.monotonic() + (20 if wanted else 1)
while time.monotonic() < end and len(got) < wanted:
    time.sleep(0.01)
time.sleep(1)
print(len(got))
""")
    for to_group in (True, False):
        process = subprocess.Popen([str(w) for w in (VRAMTRACK, "run", "--quiet", "-o", tmp_path / "out", "--", sys.executable,
                                                     script, 1)], stdout=subprocess.PIPE, text=True, process_group=0)
        assert process.stdout.readline() == "ready\n"
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGUSR1)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "1\n"), to_group


def test_from_a_deleted_working_folder(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    for options, traces in (["-o", str(tmp_path / "kept")], True), ([], False):
        words = " ".join(map(str, (VRAMTRACK, "run", "--sim", *options, "--", "sh", "-c", "'exit 3'")))
        done = subprocess.run(["sh", "-c", f"mkdir -p {gone}; cd {gone} && rmdir {gone} && exec {words}"], capture_output=True,
                              text=True)
        assert done.returncode == 3, done.stderr
        assert ("the working folder is gone" in done.stderr) == (not traces)


def test_an_empty_output_name_is_the_default(tmp_path):
    done = launch("--quiet", "-o", "", "--", "sh", "-c", "exit 4", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (4, "")
    assert (tmp_path / "vramtrack-out").is_dir()


def test_under_a_small_stack_limit(tmp_path):
    done = subprocess.run(["sh", "-c", f"ulimit -s 96; exec {VRAMTRACK} run --quiet -o {tmp_path} -- sh -c 'exit 4'"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (4, "")


def test_a_program_of_another_c_library(tmp_path):
    program = tmp_path / "small"
    subprocess.run(["musl-gcc", "-o", program, CORPUS / "small.c"], check=True)
    done = launch("--sim", "-o", tmp_path / "out", "--", program)
    assert "is not a glibc program (its loader is /lib/ld-musl-x86_64.so.1)" in done.stderr
    assert (done.returncode, done.stdout) == (3, "hello\n")


def test_a_clock_of_the_program_behind_the_launchers(programs, tmp_path):
    """As under faketime: the traces of a run are told by what was in the folder before it, not by clocks."""
    source, behind = tmp_path / "behind.c", tmp_path / "behind.so"
    source.write_text("""#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const int failed = real(clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec -= 86400;
  return failed;
}
""")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", behind, source], check=True)
    program = programs("address_space")
    for _ in range(2):  # the first run's trace is none of the second's
        done = launch("-o", tmp_path / "out", "--", "env", f"LD_PRELOAD={LIBRARY}:{behind}", program, 0.1)
        assert done.returncode == 0 and "Alive at exit" in done.stderr and "also traced" not in done.stderr, done.stderr


def test_what_goes_on_is_told_and_reports_itself(programs, tmp_path):
    out, go = tmp_path / "out", tmp_path / "go"
    daemon = f"while [ ! -e {go} ]; do sleep 0.1; done; exec {programs('address_space')} 0.1"
    done = launch("-o", out, "--", "sh", "-c", f"({daemon}) > /dev/null 2>&1 & exit 0")
    assert done.returncode == 0 and "still running: pid" in done.stderr, done.stderr
    assert "no CUDA memory was recorded" in done.stderr
    go.touch()
    end = time.monotonic() + 60
    while not list(out.glob("*.json")) and time.monotonic() < end:
        time.sleep(0.1)
    (report,) = out.glob("*.json")
    assert json.loads(report.read_text())["totals"]


def test_other_processes_are_told_by_rank_and_command(programs, tmp_path):
    program = programs("address_space")
    done = launch("-o", tmp_path, "--", "sh", "-c", f"RANK=0 {program} 0.1; RANK=1 {program} 0.1")
    assert re.search(r"also traced: pid \d+, rank [01], \S*address_space\S* 0.1, peak ", done.stderr), done.stderr


def test_a_killed_program_is_not_called_healthy(programs, tmp_path):
    done = launch("-o", tmp_path, "--", "sh", "-c", f"exec {programs('kill_anywhere')} {tmp_path}/log 1 & sleep 2; kill -9 $!; wait $!")
    assert "No problem found, as far as it could be looked at before it was killed" in done.stderr


# --- the proofs that have a longer form in test/foreign (docs/testing.md) ----------------------------------------------


def test_each_library_call_fails_once():
    tried, lost = faults.survey(1)
    assert tried >= 40 and not lost, "\n".join(lost)


@pytest.mark.parametrize("threads", [1, 4])
def test_killed_at_any_moment(threads, tmp_path):
    """The trace of a killed process against books that the program keeps outside of it."""
    assert kills.survey(hosts.build(tmp_path, "kill_anywhere"), tmp_path, 10, threads) == []


@pytest.mark.parametrize("event", steps.EVENTS)
def test_killed_behind_an_instruction(event, tmp_path):
    """Some of those that test/foreign/steps.py tries: each event is in the trace as a whole, or not at all."""
    kills_made, lost = steps.survey(tmp_path, event, every=199)
    assert kills_made > 5 and lost == []


@pytest.mark.parametrize("history", ["", "1"], ids=["", "history"])
@pytest.mark.parametrize("event", steps.EVENTS)
def test_what_every_instruction_leaves(event, history, tmp_path):
    """All of them: what is in the files when the program stops behind it, which is what a kill there leaves."""
    made, left, lost = steps.states(tmp_path, event, {"VRAMTRACK_HISTORY": history} if history else None)
    assert made > 500 and left > 10 and lost == []


def test_no_memory_grows_and_no_book_drifts(tmp_path):
    events, wrong = soak.survey(tmp_path, 10, 8)
    assert events > 0 and not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["test_fork1", "test_atexit", "test_wait4"])
def test_regression_tests_of_cpython_agree(module, capsys):
    count, unexplained = cpython.compare(sys.executable, module, cpython.known())
    assert count > 0 and unexplained == 0, capsys.readouterr().out
