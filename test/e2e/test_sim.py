"""Unmodified PyTorch on the simulated GPU, with nothing traced: what docs/simulated-gpu.md promises."""

import os
import re
import subprocess
import sys

import pytest

from conftest import VRAMTRACK

GIB = 1 << 30


@pytest.fixture
def sim(tmp_path):
    """sim(source, size="80GiB", env={}) -> CompletedProcess of that Python program on the simulated GPU."""

    def run(source, size="80GiB", env=None, ok=True):
        script = tmp_path / "script.py"
        script.write_text(source)
        done = subprocess.run(
            [str(VRAMTRACK), "run", f"--sim={size}", "--no-trace", "--", sys.executable, script],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
        )
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
            assert "is not simulated" not in done.stderr, done.stderr
        return done

    return run


TRAIN = """
import torch, torch.nn as nn, torch.nn.functional as F
def train(model, make, steps=3, **optimizer):
    model = model.cuda()
    opt = torch.optim.AdamW(model.parameters(), **optimizer)
    for _ in range(steps):
        loss = model(make()).float().sum()
        loss.backward(); opt.step(); opt.zero_grad()
    return loss.item()
"""

MODELS = {
    "mlp": "train(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), lambda: torch.randn(8, 16).cuda())",
    "cnn": "train(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.ConvTranspose2d(8, 4, 3)),"
    " lambda: torch.randn(2, 3, 32, 32).cuda())",
    "conv1d and 3d": "train(nn.Conv1d(3, 4, 3), lambda: torch.randn(2, 3, 9).cuda());"
    "train(nn.Conv3d(3, 4, 3), lambda: torch.randn(2, 3, 9, 9, 9).cuda())",
    "lstm": """
class Last(nn.Module):
    def __init__(self): super().__init__(); self.rnn = nn.LSTM(8, 16, 2, bidirectional=True)
    def forward(self, x): return self.rnn(x)[0]
train(Last(), lambda: torch.randn(5, 3, 8).cuda())""",
    "transformer": "train(nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, batch_first=True), 2),"
    " lambda: torch.randn(2, 10, 32).cuda())",
    "embedding": "train(nn.Embedding(100, 16), lambda: torch.randint(0, 100, (4, 7)).cuda())",
    "attention": """
for dtype in torch.float32, torch.float16, torch.bfloat16:
    q = torch.randn(2, 4, 16, 64, dtype=dtype, device="cuda", requires_grad=True)
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()""",
    "optimizers": "[train(nn.Linear(4, 4), lambda: torch.randn(2, 4).cuda(), **how) for how in"
    " ({'foreach': True}, {'foreach': False}, {'fused': True})]",
    "autocast and scaler": """
model = nn.Linear(8, 8).cuda(); opt = torch.optim.SGD(model.parameters(), 0.1); scaler = torch.amp.GradScaler("cuda")
for _ in range(3):
    with torch.autocast("cuda", dtype=torch.float16): loss = model(torch.randn(2, 8, device="cuda")).sum()
    scaler.scale(loss).backward(); scaler.step(opt); scaler.update()""",
    "checkpointing": """
from torch.utils.checkpoint import checkpoint
checkpoint(nn.Linear(4, 4).cuda(), torch.randn(2, 4, device="cuda", requires_grad=True), use_reentrant=False).sum().backward()""",
    "results that sizes depend on": """
x = torch.randn(100, device="cuda"); y = torch.arange(100).cuda(); del y
x.unique(); x.nonzero(); x[x > 0]; torch.multinomial(x.abs(), 3); torch.eye(4).cuda().to_sparse_csr()""",
}


@pytest.mark.parametrize("name", MODELS)
def test_models_train(sim, name):
    sim(TRAIN + MODELS[name])


@pytest.mark.parametrize("config", ["expandable_segments:True", "backend:cudaMallocAsync"])
def test_allocator_back_ends(sim, config):
    out = sim(
        TRAIN + MODELS["mlp"] + ";" + MODELS["cnn"] + """
torch.cuda.synchronize(); torch.cuda.empty_cache()
print(torch.cuda.get_allocator_backend(), torch.cuda.memory_allocated(), torch.cuda.memory_reserved())
x = torch.empty(100 << 20, device="cuda"); used = torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0]
assert torch.cuda.memory_reserved() >= 400 << 20 and used >= 400 << 20
del x; torch.cuda.synchronize(); torch.cuda.empty_cache()
assert torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0] <= used - (400 << 20)
""",
        env={"PYTORCH_CUDA_ALLOC_CONF": config},
    )
    assert ("cudaMallocAsync" in out.stdout) == ("Async" in config)


def test_memory_figures_are_those_of_the_driver(sim):
    sim(
        """
import torch
free, total = torch.cuda.mem_get_info()
assert total == 24 << 30
x = torch.empty(512 << 20, dtype=torch.uint8, device="cuda")
after = torch.cuda.mem_get_info()[0]
assert free - after == torch.cuda.memory_reserved() == 512 << 20
del x; torch.cuda.empty_cache()
assert torch.cuda.mem_get_info()[0] == free
assert torch.cuda.get_device_properties(0).total_memory == 24 << 30
""",
        size="24GiB",
    )


def test_out_of_memory_comes_after_the_cache_was_emptied(sim):
    out = sim(
        """
import torch
cached = torch.empty(600 << 20, dtype=torch.uint8, device="cuda"); del cached
assert torch.cuda.memory_reserved() == 600 << 20
fits = torch.empty(700 << 20, dtype=torch.uint8, device="cuda")  # only after the cache is given back
assert torch.cuda.memory_stats()["num_alloc_retries"] == 1
try:
    torch.empty(700 << 20, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError as error:
    print(error)
del fits
torch.empty(700 << 20, dtype=torch.uint8, device="cuda")
""",
        size="1GiB",
    )
    assert re.search(r"Tried to allocate 700.00 MiB. GPU 0 has a total capacity of 1024.00 MiB", out.stdout)


def test_copies_keep_values(sim):
    sim(
        """
import torch
x = torch.randn(1000, 77)
assert torch.equal(x.cuda().cpu(), x)
assert torch.equal(x.pin_memory().to("cuda", non_blocking=True).cpu(), x)
assert torch.equal(x.cuda().clone().cpu(), x)
assert torch.equal(x.to("cuda:0").to("cuda:1").cpu(), x)
assert torch.tensor(41.5).cuda().item() == 41.5
big = torch.full((300, 300), 7.0, device="cuda"); product = big @ big
assert product[1, 1].item() == 0  # too large to be computed by default, and nothing stale shines through
assert torch.cuda.device_count() == 2
""",
        size="2x24GiB",
    )


def test_loader_with_pinned_memory_and_workers(sim):
    sim(
        """
import torch
from torch.utils.data import DataLoader, TensorDataset
data = TensorDataset(torch.arange(64.).reshape(16, 4))
torch.zeros(1, device="cuda")
for workers in 0, 2:
    for i, (x,) in enumerate(DataLoader(data, batch_size=4, pin_memory=True, num_workers=workers)):
        assert x.is_pinned() and torch.equal(x.to("cuda", non_blocking=True).cpu(), data.tensors[0][4 * i:4 * i + 4])
"""
    )


def test_streams_events_and_graphs(sim):
    sim(
        """
import torch
stream = torch.cuda.Stream(); start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
with torch.cuda.stream(stream):
    start.record(); x = torch.randn(10, device="cuda"); end.record()
stream.synchronize(); assert start.elapsed_time(end) >= 0
x.record_stream(torch.cuda.current_stream()); torch.cuda.current_stream().wait_stream(stream)
graph = torch.cuda.CUDAGraph(); source = torch.arange(10.).cuda(); target = torch.zeros(10).cuda()
with torch.cuda.graph(graph): target.copy_(source)
assert target.sum().item() == 0
graph.replay(); assert torch.equal(target.cpu(), torch.arange(10.))
"""
    )


@pytest.mark.parametrize("config", ["backend:native", "expandable_segments:True", "backend:cudaMallocAsync"])
def test_memory_of_captured_graphs(sim, config):
    """Allocations in a capture go to the graph's own pool, which lives as long as the graph."""
    out = sim(
        """
import os, torch
model = torch.nn.Linear(64, 64).cuda()
static = torch.zeros(8, 64, device="cuda")
side = torch.cuda.Stream(); side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    for _ in range(3): model(static)
torch.cuda.current_stream().wait_stream(side)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    hidden = model(static).relu(); large = torch.empty(64 << 20, dtype=torch.uint8, device="cuda"); out = hidden + 1
for _ in range(3): graph.replay()
torch.cuda.synchronize()
used = torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0]
assert used >= 64 << 20
del graph, hidden, large, out
torch.cuda.synchronize(); torch.cuda.empty_cache()
given_back = used - (torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0])
print(torch.cuda.get_allocator_backend())
# (Expandable segments keep what they have mapped, and the driver keeps the memory of graphs until it is trimmed.)
assert given_back >= 64 << 20 or os.environ["PYTORCH_CUDA_ALLOC_CONF"] != "backend:native"
graphed = torch.cuda.make_graphed_callables(torch.nn.Linear(16, 16).cuda(), (torch.randn(4, 16, device="cuda", requires_grad=True),))
graphed(torch.randn(4, 16, device="cuda", requires_grad=True)).sum().backward()
""",
        env={"PYTORCH_CUDA_ALLOC_CONF": config},
    )
    assert out.stdout.split() == ["cudaMallocAsync" if "Async" in config else "native"]


def test_profiler_sees_operators_and_memory(sim):
    """Without CUPTI it has no kernels to show; it says so itself."""
    out = sim(
        """
import json, torch
from torch.profiler import profile, ProfilerActivity
model = torch.nn.Linear(64, 64).cuda()
with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], profile_memory=True, with_stack=True) as profiler:
    for _ in range(3): model(torch.randn(8, 64, device="cuda")).sum().backward()
operators = {event.key: event for event in profiler.key_averages()}
assert operators["aten::randn"].self_device_memory_usage + operators["aten::empty"].self_device_memory_usage > 0
profiler.export_chrome_trace("trace.json")
assert len(json.load(open("trace.json"))["traceEvents"]) > 20
""",
        ok=False,
    )
    assert out.returncode == 0, out.stderr
    assert out.stderr.count("is not simulated") <= 1


def test_compile_without_code_generation(sim):
    sim(
        """
import torch
for backend in "eager", "aot_eager":
    torch.compile(torch.nn.Linear(4, 4).cuda(), backend=backend)(torch.randn(2, 4, device="cuda")).sum().backward()
"""
    )


def test_cudnn_stays_off_even_when_switched_on(sim):
    sim(
        """
import torch
torch.backends.cudnn.enabled = True
torch.backends.cudnn.benchmark = True
with torch.backends.cudnn.flags(enabled=True):
    torch.nn.Conv2d(3, 4, 3).cuda()(torch.randn(1, 3, 8, 8, device="cuda")).sum().backward()
assert not torch.backends.cudnn.enabled
"""
    )


def test_a_model_larger_than_this_machine_costs_no_memory(sim):
    out = sim(
        """
import resource, torch
x = [torch.zeros(1 << 30, device="cuda") for _ in range(16)]  # 64 GiB
y = x[0].clone(); y.zero_(); assert y[5].item() == 0
print(torch.cuda.memory_allocated(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    )
    allocated, resident_kib = map(int, out.stdout.split())
    assert allocated >= 64 * GIB
    assert resident_kib < 4 << 20


def test_bad_size_is_said_and_means_no_device(sim):
    refused = sim("print(1)", size="lots", ok=False)  # the launcher starts nothing
    assert (refused.returncode, refused.stdout) == (2, "") and "lots: not a size such as 80GiB" in refused.stderr
    out = sim(  # without it, the simulated driver itself says so
        """
import os, subprocess, sys
os.environ["VRAMTRACK_SIM"] = "lots"
subprocess.run([sys.executable, "-c", "import torch; print(torch.cuda.is_available())"])
"""
    )
    assert out.stdout.strip() == "False"
    assert "VRAMTRACK_SIM=lots: not a size such as 80GiB" in out.stderr


def test_what_is_not_simulated_is_named_and_fails(sim):
    out = sim(
        """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
print(cuda.cuUserObjectCreate(None), cuda.cuUserObjectCreate(None))
"""
    , ok=False)
    assert out.stdout.split() == ["801", "801"]
    assert out.stderr.count("cuUserObjectCreate is not simulated") == 1


def test_a_runtime_that_validates_the_driver_is_named(sim):
    """NVIDIA's static runtime asks for tables that are in no header. Compilers do, too, and work without."""
    out = sim(
        """
import ctypes, torch
torch.special.airy_ai(torch.zeros(2, device="cuda"))  # compiled as it runs
cuda, table = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(1)
print(*(cuda.cuGetExportTable(ctypes.byref(table), b"0123456789abcdef") for _ in range(2)), table.value)
"""
    , ok=False)
    assert out.stdout.split() == ["801", "801", "None"], out.stdout + out.stderr
    said = [line for line in out.stderr.splitlines() if "does not accept the simulated driver" in line]
    assert len(said) == 1 and "libffi" in said[0], out.stderr
