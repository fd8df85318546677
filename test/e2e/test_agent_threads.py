"""The agent in programs with several Python threads, also without a GIL: no crash, the same output, exact figures."""

import json
import pathlib
import subprocess

import pytest
from pythons import interpreters

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = ROOT / "test" / "corpus" / "agent" / "gradient_readers.py"
THREADS = ROOT / "interpose" / "python" / "vramtrack_agent" / "threads.py"
FOUND = interpreters()


@pytest.mark.parametrize("version", list(FOUND))
def test_gradients_and_graphs_are_not_read_while_they_change(version):
    done = subprocess.run([FOUND[version], str(CHECK), str(THREADS)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers.pop("alone") and answers.pop("after")
    has_gil = answers.pop("has_gil")
    assert has_gil != version.endswith("t")
    cases = ["assigns", "assigns_deeper", "deletes", "by_call", "reads", "backward"]
    safe = {"reads"} | {"saved while " + case for case in cases[:-1]} if has_gil else set()
    assert {case for case, answer in answers.items() if answer} == safe
    assert set(answers) == {*cases, *("saved while " + case for case in cases)}


DYING = """
import sys, threading, torch, weakref
model = torch.nn.Linear(256, 256).cuda()
model(torch.randn(4, 256, device="cuda")).sum().backward()
inside, never = threading.Event(), threading.Event()

def stop_here(_):
    inside.set()
    never.wait()

def clear():
    gradient = model.weight.grad
    keep = weakref.ref(gradient, stop_here)
    del gradient
    model.weight.grad = None

threading.Thread(target=clear, daemon=True).start()
print(inside.wait(60))
sys.exit(5)
"""


def test_a_dying_gradient_is_left_alone(traced):
    """The thread stands in the destructor of a gradient that the parameter still points to. Reading it would revive it."""
    run = traced(DYING)
    assert (run.code, run.stdout) == (5, "True\n"), run.stderr
    named = {block["tensor"]["name"]: block["tensor"] for block in run.report()["allocations"] if block["tensor"]}
    assert "model.weight" in named
    assert not [name for name, tensor in named.items() if tensor["role"] == "gradient"], named


PASSING = """
import os, sys, threading, torch
inside, never = threading.Event(), threading.Event()

class Stop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        inside.set()
        never.wait()

weight = torch.randn(256, 256, device="cuda", requires_grad=True)
loss = Stop.apply((weight * 2).exp()).sum()
if os.environ.get("PASSES"):
    threading.Thread(target=loss.backward, daemon=True).start()
    inside.wait(60)
sys.exit(5)
"""


@pytest.mark.parametrize("passes", [False, True], ids=["waits", "passes"])
def test_a_graph_that_a_pass_goes_through_is_not_read(traced, passes):
    """The pass frees what each node saved, in a thread that does not ask for the GIL: reading it may crash."""
    run = traced(PASSING, env={"PASSES": "1"} if passes else {})
    assert run.code == 5, run.stderr
    roles = {block["tensor"]["role"] for block in run.report()["allocations"] if block["tensor"]}
    assert ("saved_for_backward" in roles) == (not passes), roles


TRAINING = """
import sys, threading, torch
kept = []

def train(n):
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i in range(150):
        optimizer.zero_grad()
        model(torch.randn(8, 32, device="cuda")).sum().backward()
        optimizer.step()
        space = {}
        exec(compile("def f(torch):\\n  return torch.empty(64, device='cuda')\\n", "<made>", "exec"), space)
        space["f"](torch)
    kept.append(model)

threads = [threading.Thread(target=train, args=(n,)) for n in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(kept) == 6
try:
    torch.empty(2**42, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    print("out of memory")
stats = torch.cuda.memory_stats()
print(stats["allocated_bytes.all.current"], stats["allocation.all.current"], stats["allocated_bytes.all.peak"])
sys.exit(3)
"""


def test_threads_that_train_at_once(traced):
    run = traced(TRAINING, env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert run.code == 3, run.stderr
    said, figures = run.stdout.splitlines()
    assert said == "out of memory"
    total = next(total for total in run.report()["totals"] if total["layer"] == "tensor")
    assert [total["live_bytes"], total["live_count"], total["peak_bytes"]] == [int(word) for word in figures.split()]
    assert "mismatches: 0" in run.stderr
    assert run.oom()["at"] == "oom"
    assert not [note for note in run.report()["losses"]["notes"] if "agent" in note], run.report()["losses"]
