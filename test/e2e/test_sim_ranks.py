"""Scripts for several GPUs, as they are written for torchrun, on the simulated devices."""

import json
import os
import subprocess
import sys

from conftest import VRAMTRACK

MIB = 1 << 20

SCRIPT = """
import os, torch, torch.nn as nn, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
dist.init_process_group("nccl")
rank, ranks = dist.get_rank(), dist.get_world_size()


def held(by, size=100_003):
    return torch.randint(-8, 8, (size,), generator=torch.Generator().manual_seed(by)).float()


def train(model, wrap):
    wrapped = wrap(model.cuda())
    optimizer = torch.optim.AdamW(wrapped.parameters())
    for _ in range(2):
        wrapped(torch.randn(4, 64, device="cuda")).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)


# Values: what the ranks hold comes from the CPU, and goes back there.
x = held(rank).cuda()
dist.all_reduce(x)
assert torch.equal(x.cpu(), sum(held(i) for i in range(ranks)))
gathered = torch.empty(ranks * 1000, device="cuda")
dist.all_gather_into_tensor(gathered, held(rank, 1000).cuda())
assert torch.equal(gathered.cpu(), torch.cat([held(i, 1000) for i in range(ranks)]))
received = torch.empty(1000, device="cuda")
work = dist.batch_isend_irecv([
    dist.P2POp(dist.isend, held(rank, 1000).cuda(), (rank + 1) % ranks),
    dist.P2POp(dist.irecv, received, (rank - 1) % ranks),
])
[one.wait() for one in work]
assert torch.equal(received.cpu(), held((rank - 1) % ranks, 1000))
names = [None] * ranks
dist.all_gather_object(names, f"rank {rank}")
assert names == [f"rank {i}" for i in range(ranks)]

# Gradients: each rank's own before, the same on all ranks after.
gradient = nn.Parameter(torch.zeros(8, 8, device="cuda"))
gradient.grad = held(rank, 64).view(8, 8).cuda()
dist.all_reduce(gradient.grad, op=dist.ReduceOp.AVG)
assert torch.allclose(gradient.grad.cpu(), sum(held(i, 64) for i in range(ranks)).view(8, 8) / ranks)

make = lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
train(make(), lambda m: DistributedDataParallel(m, device_ids=[torch.cuda.current_device()]))
train(make(), fully_shard)
mesh = init_device_mesh("cuda", (ranks,))
train(make(), lambda m: parallelize_module(m, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()}))
dist.destroy_process_group()
"""


def test_ranks_under_torchrun(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "train.py"]
    out = tmp_path / "out"
    done = subprocess.run(
        [str(VRAMTRACK), "run", "--sim=2x24GiB", "-o", out, "--", *torchrun],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is not simulated" not in done.stderr, done.stderr
    reports = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    ranks = [report for report in reports if any(device["driver_used_bytes"] for device in report["ledger"])]
    assert len(ranks) == 2 and {report["process"]["rank"] for report in ranks} == {0, 1}
    for report in ranks:
        # The communicator of both ranks: 98 granules, a ring of 24 channels, and one peer over 32 (docs/simulated-gpu.md).
        nccl = [site for site in report["sites"] if site.get("owner") == "nccl" and site["layer"] == "cuda"]
        peak = sum(site["peak_bytes"] for site in nccl)
        assert peak >= 98 * 2 * MIB + 24 * 12 * MIB + 32 * 12 * MIB, [(s["peak_bytes"], s["owner"]) for s in nccl]
        assert not [finding for finding in report["findings"] if finding["severity"] == "leak"], report["findings"]
