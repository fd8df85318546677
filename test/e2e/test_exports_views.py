"""diff, merge, top and ps on real traced programs."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import jsonschema
import pytest

from conftest import PYTHON, ROOT, VRAMTRACK

LOOP = """
import sys, time, torch
kept = []
model = torch.nn.Linear(256, 256, device="cuda")
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(int(sys.argv[1])):
    model(torch.randn(8, 256, device="cuda")).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    kept.append(torch.empty(1 << 18, device="cuda"))
    time.sleep(float(sys.argv[2]))
"""

ALLOCATE = """
import torch
{above}
def build(count):
    return [torch.empty(1 << 20, dtype=torch.uint8, device="cuda") for _ in range(count)]
def extra():
    return torch.empty(3 << 20, dtype=torch.uint8, device="cuda")
kept = build({count})
more = {more}
"""


def until(condition, seconds=60):
    """Waits for what is bound to come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def running_loop(tmp_path, steps=100000, pause=0.02, sim="8GiB"):
    """A training under the launcher: (launcher, pid of the traced process, its trace)."""
    script, out = tmp_path / "loop.py", tmp_path / "live"
    script.write_text(LOOP)
    where = [f"--sim={sim}"] if sim else []
    command = [VRAMTRACK, "run", "--quiet", "-o", out, *where, "--", PYTHON, script, steps, pause]
    launcher = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            top = subprocess.run([VRAMTRACK, "top", "--once", str(launcher.pid)], capture_output=True, text=True)
            if top.returncode == 0 and re.search(r"step [1-9]", top.stdout):
                break
            assert launcher.poll() is None, "the training ended before it was seen"
            time.sleep(0.5)
        trace = next(out.glob("vramtrack-*.vtrace"))
        pid = int(trace.stem.split("-")[1])
        yield launcher, pid, trace
    finally:
        for victim in [locals().get("pid"), launcher.pid]:
            if victim:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGCONT)
                    os.kill(victim, signal.SIGKILL)
        launcher.wait()


# ---- diff ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_runs(traced):
    def run(count, more, above):
        done = traced(ALLOCATE.format(count=count, more=more, above=above), sim="8GiB")
        assert done.code == 0, done.stderr
        return next(iter(done.out.glob("vramtrack-*.json")))

    return run(4, "None", ""), run(9, "extra()", "# a line that moves\n# all the others\n" * 20)


def test_diff_names_what_grew_and_what_appeared(two_runs, vramtrack):
    a, b = two_runs
    done = vramtrack("diff", a, b, "--format", "json")
    assert done.returncode == 0, done.stderr
    diff = json.loads(done.stdout)
    assert diff["schema"] == "vramtrack-diff/1"
    tensors = [s for s in diff["sites"] if s["layer"] == "tensor" and s["change"] != "same"]
    functions = {s["change"]: {diff["frames"][f]["function"] for f in s["stack"]} for s in tensors}
    deltas = {s["change"]: s["delta_bytes"] for s in tensors}
    assert deltas == {"grew": 5 << 20, "appeared": 3 << 20}
    assert any("build" in name for name in functions["grew"])
    assert any("extra" in name for name in functions["appeared"])
    total = next(t for t in diff["totals"] if t["layer"] == "tensor")
    assert total["delta_bytes"] == 8 << 20
    sizes = [abs(s["delta_bytes"]) for s in diff["sites"]]
    assert sizes == sorted(sizes, reverse=True)
    text = vramtrack("diff", a, b).stdout
    assert "+5.00 MiB" in text and "grew" in text and "appeared" in text
    back = json.loads(vramtrack("diff", b, a, "--format", "json").stdout)
    assert {s["change"] for s in back["sites"] if s["layer"] == "tensor"} == {"shrank", "went"}


EDITED = [
    """
import torch
def build():
    w = torch.zeros(1 << 20, device="cuda")
    return w
weights = build()
loss = torch.zeros(128, device="cuda")
grid = torch.zeros(1000, device="cuda")
""",
    """
import torch
# a comment
def build():
    extra = torch.zeros(1 << 19, device="cuda")
    w = torch.zeros(1 << 20, device="cuda")
    build.extra = extra
    return w
grid = torch.zeros(5000, device="cuda")
weights = build()
cache = torch.zeros(30 << 20, device="cuda")
pair = torch.zeros(7, device="cuda"), torch.ones(9, device="cuda")
""",
]


def test_diff_of_an_edited_program_pairs_lines_by_their_text(traced, vramtrack):
    a, b = (next(iter(traced(program, sim="8GiB").out.glob("vramtrack-*.json"))) for program in EDITED)
    diff = json.loads(vramtrack("diff", a, b, "--format", "json").stdout)
    changes = sorted((s["change"], *(s[side] and s[side]["bytes"] for side in "ab")) for s in diff["sites"] if s["layer"] == "tensor")
    assert changes == [("appeared", None, 512), ("appeared", None, 512), ("appeared", None, 2 << 20), ("appeared", None, 120 << 20),
                       ("grew", 4096, 20480), ("same", 4 << 20, 4 << 20), ("went", 512, None)]  # fmt: skip


def test_diff_fails_only_when_it_grew(two_runs, vramtrack):
    a, b = two_runs
    grew = vramtrack("diff", a, b, "--fail-if-grew", "5MiB")
    assert grew.returncode == 1
    assert re.fullmatch(r"error: .* grew by .*\n", grew.stderr)
    assert vramtrack("diff", a, b, "--fail-if-grew", "1GiB").returncode == 0
    assert vramtrack("diff", b, a, "--fail-if-grew", "0").returncode == 0
    assert vramtrack("diff", a, a, "--fail-if-grew", "0").returncode == 0
    assert vramtrack("diff", a, b, "--by", "nothing").returncode == 2
    assert vramtrack("diff", a, a.with_name("missing.json")).returncode == 1


# ---- merge -----------------------------------------------------------------------------------------------------------


def test_merge_adds_up_ranks_and_names_the_one_that_differs(traced, vramtrack, tmp_path):
    folders, live = [], 0
    for rank in range(3):
        script = tmp_path / "train.py"
        script.write_text("import os\n" + ALLOCATE.format(count="6 if os.environ['RANK'] == '1' else 2", more="None", above=""))
        run = traced([PYTHON, script], sim="8GiB", env={"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "3"})
        assert run.code == 0, run.stderr
        folders.append(run.out)
        live += sum(t["live_bytes"] for t in run.report()["totals"] if t["layer"] == "tensor")
    merged_path = tmp_path / "merged.json"
    done = vramtrack("merge", *folders, "-o", merged_path)
    assert done.returncode == 0, done.stderr
    assert "rank 1 holds 4.00 MiB more" in done.stdout
    merged = json.loads(merged_path.read_text())
    jsonschema.validate(merged, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    assert [m["rank"] for m in merged["ranks"]] == [0, 1, 2]
    assert sum(t["live_bytes"] for t in merged["totals"] if t["layer"] == "tensor") == live
    assert sum(s["live_bytes"] for s in merged["sites"] if s["layer"] == "tensor") == live
    assert merged["outlier"]["rank"] == "1" and merged["outlier"]["difference_bytes"] == 4 << 20
    spread = merged["rank_sites"][0]["live_bytes"]
    assert (spread["min"], spread["max"], spread["max_rank"]) == (2 << 20, 6 << 20, "1")
    assert vramtrack("report", merged_path).returncode == 0
    assert vramtrack("report", merged_path, "--format", "json").stdout == merged_path.read_text()
    missing = vramtrack("merge", merged_path, tmp_path / "none.json", "-o", tmp_path / "x.json")
    assert missing.returncode == 1 and not (tmp_path / "x.json").exists()
    skipped = vramtrack("merge", merged_path, tmp_path / "none.json", "--skip-unreadable", "-o", tmp_path / "x.json")
    assert skipped.returncode == 0 and "none.json" in skipped.stderr


# ---- top -------------------------------------------------------------------------------------------------------------


def test_top_of_a_paused_training_shows_the_final_figures(tmp_path, vramtrack):
    with running_loop(tmp_path) as (launcher, pid, trace):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) == "T")
        shown = vramtrack("top", "--once", "--bytes", "--layer", "tensor", "--top", "1000", launcher.pid)
        assert shown.returncode == 0, shown.stderr
        assert "stopped" in shown.stdout and "\x1b" not in shown.stdout
        os.kill(pid, signal.SIGKILL)  # nothing can change any more: the report is of that moment
        launcher.wait(60)
        report = json.loads(vramtrack("report", trace, "--format", "json").stdout)
    total = next(t for t in report["totals"] if t["layer"] == "tensor")
    header = re.search(r"cuda:0 +live +(\d+) in ([\d,]+) blocks? +peak (\d+)", shown.stdout)
    assert [int(g.replace(",", "")) for g in header.groups()] == [total["live_bytes"], total["live_count"], total["peak_bytes"]]
    rows = [tuple(map(int, r)) for r in re.findall(r"^ +(\d+) +(\d+) .* tensor ", shown.stdout, re.M)]
    expected = [(s["live_bytes"], s["live_count"]) for s in report["sites"] if s["layer"] == "tensor" and s["live_bytes"]]
    assert sorted(rows) == sorted(expected)
    assert f"step {report['steps']['count']:,}" in shown.stdout


def test_top_says_why_it_cannot(vramtrack, tmp_path):
    for target in (os.getpid(), 999999999, tmp_path, tmp_path / "none.vtrace"):
        done = vramtrack("top", "--once", target)
        assert done.returncode == 1 and done.stderr.startswith("error: "), done
    assert vramtrack("top", os.getpid()).returncode == 2  # no terminal here


class Screen:
    def __init__(self, tmp_path, command, columns=110, rows=30):
        tmux = shutil.which("tmux")
        assert tmux, "no tmux (Debian: apt-get install tmux)"
        self.base = [tmux, "-S", str(tmp_path / "tmux.socket"), "-f", "/dev/null"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run([*self.base, "new-session", "-d", "-x", str(columns), "-y", str(rows), command], check=True, env=environment)

    def __call__(self, *arguments):
        return subprocess.run([*self.base, *arguments], capture_output=True, text=True)

    def wait_for(self, pattern, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = self("capture-pane", "-p").stdout
            if re.search(pattern, screen):
                return screen
            time.sleep(0.2)
        raise AssertionError(f"{pattern!r} not on the screen:\n{screen}")


def test_top_on_a_terminal(tmp_path):
    with running_loop(tmp_path) as (launcher, pid, _):
        screen = Screen(tmp_path, f"{VRAMTRACK} top --interval 0.3 {launcher.pid}")
        try:
            screen.wait_for(r"\*bytes[\s\S]*loop.py:10")
            screen("send-keys", "r")
            # A step counts a moment before its block: an interval of few steps shows another rate, the next one shows it.
            screen.wait_for(r"\*per second[\s\S]*\+[\d.]+ [KM]iB +\+(1\.\d+ MiB|\d{3,4} KiB).*loop\.py:10")
            screen("send-keys", "?")
            screen.wait_for("sort by growth per step")
            screen("send-keys", "?")
            screen("resize-window", "-x", "80", "-y", "24")
            usual = screen.wait_for(r"\*per s ")
            assert re.search(r"loop\.py:10  kept\.a", usual), usual  # the line of a site is never cut off; its text is
            screen("resize-window", "-x", "70", "-y", "14")
            small = screen.wait_for(r"\*per s ")
            assert len(small.rstrip("\n").split("\n")) <= 14
            assert all(len(line) <= 70 for line in small.split("\n"))
            screen("send-keys", "p")
            paused = screen.wait_for("view paused")
            time.sleep(1)
            assert screen("capture-pane", "-p").stdout == paused
            screen("send-keys", "q")
            until(lambda: screen("list-sessions").returncode != 0)
            assert launcher.poll() is None  # the training goes on
        finally:
            screen("kill-server")


# ---- ps --------------------------------------------------------------------------------------------------------------


def processes(vramtrack):
    done = vramtrack("ps", "--format", "json")
    assert done.returncode == 0, done.stderr
    return {p["pid"]: p for p in json.loads(done.stdout)["processes"]}


@contextlib.contextmanager
def no_gpu_user():
    """The pid of a process that has the simulated GPU's libraries and does not call them."""
    with subprocess.Popen([VRAMTRACK, "run", "--sim", "--no-trace", "--", "sh", "-c", "echo $$; exec sleep 600"],
                          stdout=subprocess.PIPE, text=True) as launcher:
        pid = int(launcher.stdout.readline())
        try:
            until(lambda: "sleep" in pathlib.Path(f"/proc/{pid}/comm").read_text()
                  and "libcuda.so.1" in pathlib.Path(f"/proc/{pid}/maps").read_text())
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)


def test_ps_lists_a_traced_process_and_marks_it_when_its_parent_is_gone(tmp_path, vramtrack):
    with running_loop(tmp_path) as (launcher, pid, trace), no_gpu_user() as idle:
        holder = processes(vramtrack)[pid]
        assert not holder["leftover"]
        assert holder["trace"] == str(trace) and "simulated" in holder["devices"]
        assert idle not in processes(vramtrack)  # preloaded, but it never used CUDA
        assert holder["bytes"] > 1 << 18
        launcher.kill()
        launcher.wait()
        left = processes(vramtrack)[pid]
        assert left["leftover"] and str(launcher.pid) in left["reason"]
        assert f"kill {pid}" in vramtrack("ps").stdout
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in processes(vramtrack))
