"""On a real GPU: what CUPTI saw and the hooks did not is nothing, for the libraries that people use; the figures equal
PyTorch's; the programs of PyTorch's FAQ yield the findings that they yield on the simulated GPU. Not part of a plain
run: ./test.sh --gpu. Asked for without a GPU, these fail; nothing here is skipped."""

import json
import types

import pytest

from conftest import owners
from test_findings import PROGRAM_FILES, check_program, run as run_program
from test_torch_figures import WORKLOADS, check_figures

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("real_gpu", "share_of_the_gpu")]

TRAINING = """
import json, torch
model = torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 8)).cuda()
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(5):
    optimizer.zero_grad()
    loss = model(torch.randn(64, 1024, device="cuda")).square().mean()     # cuBLAS in both directions
    loss.backward()
    optimizer.step()
torch.cuda.synchronize()
stats = torch.cuda.memory_stats()
print(json.dumps({
    "live_bytes": stats["allocated_bytes.all.current"], "peak_bytes": stats["allocated_bytes.all.peak"],
    "reserved_bytes": stats["reserved_bytes.all.current"], "backend": torch.cuda.get_allocator_backend(),
}))
"""

PROFILED = """
import torch
from torch.profiler import ProfilerActivity, profile
torch.empty(1, device="cuda")        # the audit subscribes here
with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
    model = torch.nn.Linear(512, 512).cuda()
    model(torch.randn(64, 512, device="cuda")).sum().backward()
    torch.cuda.synchronize()
kernels = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
print("kernels", len(kernels))
"""

NCCL = """
import os, torch, torch.distributed as dist
os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511", RANK="0", WORLD_SIZE="1")
dist.init_process_group("nccl")
data = torch.ones(1 << 20, device="cuda")
dist.all_reduce(data)
torch.cuda.synchronize()
print("sum", data.sum().item())
os._exit(0)     # with the communicator's memory alive
"""

NUMBA = """
import numpy
if not hasattr(numpy, "row_stack"):  # numba-cuda 0.30 asks for it; NumPy 2.5 has it no more
    numpy.row_stack = numpy.vstack
from numba import cuda
@cuda.jit
def double(data):
    i = cuda.grid(1)
    if i < data.size:
        data[i] *= 2
first = cuda.device_array(16)   # CUPTI is asked from here on
kept = cuda.to_device(numpy.ones(1 << 20, dtype=numpy.float32))
double[4096, 256](kept)
cuda.synchronize()
assert kept.copy_to_host().sum() == 2 << 20
"""

CUPY = """
import cupy
kept = cupy.random.rand(1024, 1024, dtype=cupy.float32)
product = kept @ kept
pinned = cupy.cuda.alloc_pinned_memory(4096)
cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
pooled = cupy.zeros(1 << 20)
cupy.cuda.Device().synchronize()
"""


@pytest.mark.parametrize("configuration", ["", "expandable_segments:True", "backend:cudaMallocAsync"])
def test_torch_training(configuration, audited):
    report, done = audited(TRAINING, **({"PYTORCH_CUDA_ALLOC_CONF": configuration} if configuration else {}))
    expected = json.loads(done.stdout.splitlines()[-1])
    (total,) = [t for t in report["totals"] if t["layer"] == "tensor"]
    assert total["live_bytes"] == expected["live_bytes"]
    assert total["peak_bytes"] == expected["peak_bytes"]
    assert owners(report)["torch"] == expected["reserved_bytes"]


def test_nccl_all_reduce(audited):
    report, done = audited(NCCL)
    assert "sum 1048576.0" in done.stdout
    assert any(site["owner"] == "nccl" for site in report["sites"])


def test_numba(audited):
    report, _ = audited(NUMBA)
    assert sum(a["bytes"] for a in report["allocations"] if a["kind"] == "device") >= 4 << 20


def test_cupy(audited):
    report, _ = audited(CUPY)
    kinds = {site["kind"] for site in report["sites"] if site["owner"] == "cupy"}
    assert {"device", "pool", "host_pinned"} <= kinds


def test_torch_profiler_at_the_same_time(traced):
    """It gets what it asks for, with or without the audit, and the blocks are recorded all the same."""
    plain = traced(PROFILED, sim=None)
    audited = traced(PROFILED, "--audit", sim=None)
    assert plain.code == audited.code == 0, plain.stderr + audited.stderr
    assert plain.stdout == audited.stdout and "kernels 0" not in plain.stdout
    assert audited.report()["audit"] is not None
    live = [{t["layer"]: t["live_bytes"] for t in run.report()["totals"]} for run in (plain, audited)]
    assert live[0] == live[1]


# async_backend asks the simulated driver for the size of its pool; test_torch_training covers that back end here.
@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "async_backend"])
def test_figures_equal_torch(traced, name):
    check_figures(traced, name, sim=None)


@pytest.mark.parametrize("path", [
    pytest.param(path, id=f"{path.parent.name}/{path.stem}",
                 marks=[pytest.mark.alone] if path.parent.name == "out-of-memory" else [])
    for path in PROGRAM_FILES
])
def test_findings(path, tmp_path):
    check_program(path, types.SimpleNamespace(**json.loads(run_program(path, tmp_path))))
