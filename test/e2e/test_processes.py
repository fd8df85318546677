"""What the processes of one run say together: who made a CUDA context and what it takes (the oracle is the simulated
device, which was told what one costs), and who keeps the memory that another gave it."""

import json
import textwrap

import pytest

MIB = 1 << 20

WORKERS = """
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Numbers(Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, i):
            return torch.full((4,), float(i))

    def set_up(worker=None):
        {guard}torch.cuda.set_device(0)

    if __name__ == "__main__":
        set_up()
        loader = DataLoader(Numbers(), batch_size=8, num_workers=2, worker_init_fn=set_up,
                            multiprocessing_context="spawn")
        total = torch.zeros(4, device="cuda")
        for batch in loader:
            total += batch.cuda().sum(0)
"""


@pytest.fixture
def run(traced):
    """run(program) -> (outcome, reports): on a device whose contexts cost 300 MiB each."""

    def call(program):
        done = traced(textwrap.dedent(program), env={"VRAMTRACK_SIM_CONTEXT": "300MiB"})
        assert done.code == 0, done.stderr
        return done, list(done.reports().values())

    return call


def place(report, context):
    frames = [report["frames"][i] for i in context["stack"]]
    return next((f["file"].rsplit("/", 1)[-1], f["line"]) for f in frames if f["file"].endswith("script1.py"))


def test_workers_that_only_hold_a_context(run, tmp_path):
    done, reports = run(WORKERS.format(guard=""))
    lines = (tmp_path / "script1.py").read_text().split("\n")
    line = 1 + next(i for i, text in enumerate(lines) if "set_device" in text)
    parent = [report for report in reports if any(total["allocated_count"] for total in report["totals"])]
    workers = [report for report in reports if report not in parent]
    assert len(parent) == 1 and len(workers) == 2, done.stderr
    for report in reports:
        (context,) = report["contexts"]
        assert context["primary"] and context["device"] == 0 and context["ended_time"] is None
        assert place(report, context) == ("script1.py", line)
        assert abs(context["bytes"] - 300 * MIB) <= 2 * MIB
    for report in workers:
        (finding,) = report["findings"]
        assert (finding["code"], finding["severity"], finding["line"]) == ("idle-context", "info", line)
        assert finding["bytes"] == report["contexts"][0]["bytes"]
    (finding,) = [f for f in parent[0]["findings"] if f["code"] == "idle-context"]
    assert sorted(finding["evidence"]["pids"]) == sorted(report["process"]["pid"] for report in workers)
    assert finding["line"] == line and abs(finding["bytes"] - 600 * MIB) <= 4 * MIB
    summary = " ".join(done.stderr.split())
    assert f"script1.py:{line}" in summary and "300 MiB until its process ends" in summary, done.stderr
    assert done.stderr.count("no allocation, ") == 2


def test_workers_that_leave_the_gpu_alone(run):
    done, reports = run(WORKERS.format(guard="if worker is None: "))
    assert len(reports) == 1 and len(reports[0]["contexts"]) == 1, done.stderr
    assert "idle-context" not in done.stderr and not [f for f in reports[0]["findings"] if f["code"] == "idle-context"]


def test_a_context_and_nothing_else(run):
    done, (report,) = run("import torch\ntorch.cuda.synchronize()\n")
    assert place(report, report["contexts"][0]) == ("script1.py", 2)
    assert [f["code"] for f in report["findings"]] == ["idle-context"]
    assert "No problem found" in done.stderr and "script1.py:2" in done.stderr
    assert report["environment"]["simulated"] and report["environment"]["devices"][0]["total_bytes"] > 0


DRIVER = """
    import ctypes
    cuda = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    ok = lambda result: None if result == 0 else exit(f"failed: {result}")
    ok(cuda.cuInit(0))
    ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
    ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))  # the same one
    ok(cuda.cuDevicePrimaryCtxRelease_v2(0))
    ok(cuda.cuDevicePrimaryCtxRelease_v2(0))                     # the last user: it goes
    ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))  # a second one
    ok(cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0))         # one beside it
    ok(cuda.cuCtxDestroy_v2(context))
"""


def test_contexts_come_and_go(run):
    _, (report,) = run(DRIVER)
    seen = [(place(report, c)[1], c["primary"], c["ended_time"] is None) for c in report["contexts"]]
    assert seen == [(7, True, False), (11, True, True), (12, False, False)]
    times = [c["time"] for c in report["contexts"]]
    assert times == sorted(times)
    assert all(c["ended_time"] >= c["time"] for c in report["contexts"] if c["ended_time"] is not None)
    assert [f["code"] for f in report["findings"]] == ["idle-context"]


@pytest.mark.parametrize("ended", ["context_gone", "context "])
def test_dump_shows_contexts(run, vramtrack, ended):
    done, _ = run(DRIVER)
    (trace,) = done.traces()
    lines = vramtrack("dump", trace, check=True).stdout.split("\n")
    assert sum(line.startswith(ended) for line in lines) == {"context_gone": 2, "context ": 3}[ended]


def test_merged_reports_name_the_ranks(run, vramtrack, tmp_path):
    done, _ = run(WORKERS.format(guard=""))
    vramtrack("merge", *done.out.glob("*.json"), "-o", "all.json", check=True)
    merged = json.loads((tmp_path / "all.json").read_text())
    assert len(merged["contexts"]) == 3
    assert sorted(c["rank"] for c in merged["contexts"]) == sorted(merged["rank_names"])


SHARED = """
    import torch
    import torch.multiprocessing as mp

    def act(queue, done):
        model = torch.nn.Linear(512, 512).cuda()
        with torch.no_grad():
            for _ in range(60):
                queue.put(model(torch.randn(512, 512, device="cuda")).relu())
        done.wait()

    class Learner:
        def __init__(self):
            self.history = []

        def learn(self, states):
            loss = states.square().mean().item()
            self.history.append((loss, {kept}))

    if __name__ == "__main__":
        context = mp.get_context("spawn")
        queue, done = context.SimpleQueue(), context.Event()
        actor = context.Process(target=act, args=(queue, done))
        actor.start()
        learner = Learner()
        for _ in range(60):
            learner.learn(queue.get())
        done.set()
        actor.join()
"""


def test_the_taker_of_shared_memory_is_to_blame(run):
    done, reports = run(SHARED.format(kept="states"))
    main = next(report for report in reports if "script1.py" in " ".join(report["process"]["command"]))
    actor = next(report for report in reports if report is not main)
    (kept,) = [f for f in main["findings"] if f["severity"] == "warning"]
    assert kept["code"] == "growing-site" and "history" in kept["variable"]
    assert kept["evidence"]["producer_pid"] == actor["process"]["pid"]
    (given,) = [f for f in actor["findings"] if f["code"] == "growing-site"]
    assert given["severity"] == "info" and given["evidence"]["consumer_pid"] == main["process"]["pid"]
    assert kept["variable"] in given["message"] and f"script1.py:{kept['line']}" in given["message"]
    assert done.stderr.index(kept["variable"]) < done.stderr.index("also traced")


def test_a_taker_that_keeps_numbers(run):
    _, reports = run(SHARED.format(kept="states.shape"))
    assert not [f for report in reports for f in report["findings"] if f["severity"] != "info"]
