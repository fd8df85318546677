"""One process as one rank of many (--sim-world): the others are not there, and the script does not notice."""

import subprocess

import pytest
from conftest import PYTHON, VRAMTRACK

SCRIPT = """
import os, torch, torch.nn as nn, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
torch.cuda.set_device(device)
dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
rank, ranks = dist.get_rank(), dist.get_world_size()
assert (rank, ranks) == (int(os.environ["RANK"]), 128)


def make(count=2, size=256):
    return nn.Sequential(*[nn.Linear(size, size) for _ in range(count)]).cuda()


def train(model, size=256):
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        model(torch.randn(4, size, device="cuda")).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in model.parameters())


# What the others hold is what this rank holds.
x = torch.full((3,), 2.0, device="cuda")
dist.all_reduce(x)
assert x.tolist() == [256.0] * 3
dist.all_reduce(x, op=dist.ReduceOp.AVG)
assert x.tolist() == [256.0] * 3
parts = [torch.empty(3, device="cuda") for _ in range(ranks)]
dist.all_gather(parts, x)
assert all(part.tolist() == [256.0] * 3 for part in parts)
part = torch.empty(2, device="cuda")
dist.reduce_scatter_tensor(part, torch.arange(2.0 * ranks, device="cuda"))
assert part.tolist() == [2.0 * rank * ranks, (2.0 * rank + 1) * ranks]
objects = [None] * ranks
dist.all_gather_object(objects, {"rank": rank})
assert objects == [{"rank": rank}] * ranks
objects = [None] * ranks if rank == 0 else None
dist.gather_object("mine", objects)
assert objects == (["mine"] * ranks if rank == 0 else None)
gathered = [torch.empty(2) for _ in range(ranks)]
dist.all_gather(gathered, torch.ones(2))
assert all(one.tolist() == [1.0, 1.0] for one in gathered)
dist.barrier()
there = torch.ones(5, device="cuda")
dist.send(there, (rank + 1) % ranks)
dist.recv(there, (rank + 1) % ranks)

# Each way to spread a model: what stays here is this rank's part.
whole = 2 * (256 * 256 + 256)
assert train(DistributedDataParallel(make(), device_ids=[device])) == whole
sharded = make()
for layer in sharded:
    fully_shard(layer)
assert train(fully_shard(sharded)) == whole // ranks
mesh = init_device_mesh("cuda", (16, 8), mesh_dim_names=("dp", "tp"))
assert (mesh["dp"].size(), mesh["tp"].size(), list(mesh.get_coordinate())) == (16, 8, [rank // 8, rank % 8])
both = parallelize_module(make(), mesh["tp"], {"0": ColwiseParallel(), "1": RowwiseParallel()})
of_a_row = (256 * 256 + 256) // 8 + 256 * 256 // 8 + 256
assert train(both) == of_a_row
assert train(fully_shard(both, mesh=mesh["dp"])) == of_a_row // 16
if os.environ.get("LEAVE") != "1":
    dist.destroy_process_group()
"""


def problems(report):
    return [finding for finding in report["findings"] if finding["severity"] != "info"]


@pytest.mark.parametrize("rank, sim", [(0, "80GiB"), (77, "8x24GiB")])
def test_one_rank_of_128(traced, rank, sim):
    run = traced(SCRIPT, "--sim-world", "128", "--sim-rank", str(rank), sim=sim, env={"LEAVE": str(rank % 2)})
    assert run.code == 0, run.stdout + run.stderr
    assert "is not simulated" not in run.stderr and "vramtrack-sim" not in run.stderr, run.stderr
    report = run.report()
    assert (report["process"]["rank"], report["process"]["world_size"]) == (rank, 128)
    assert report["process"]["local_rank"] == (rank % 8 if sim.startswith("8x") else 0)
    assert problems(report) == []
    (used,) = [device for device in report["ledger"] if device["tensors_live_bytes"]]
    assert used["device"] == report["process"]["local_rank"]
    # The communicators of the world and of both dimensions of the mesh, none of them with buffers for 127 neighbours.
    (nccl,) = [owner["bytes"] for owner in used["owners"] if owner["owner"] == "nccl"] or [0]
    peak = sum(site["peak_bytes"] for site in report["sites"] if site["owner"] == "nccl" and site["layer"] == "cuda")
    assert max(nccl, peak) > 3 * 98 * (2 << 20) and max(nccl, peak) < 8 << 30


def test_store_of_a_program(traced):
    """Scripts that make their store themselves, and that look for the other ranks in it."""
    run = traced("""
import torch.distributed as dist
store = dist.TCPStore("node0", 1234, 128, False)
assert store.host == "node0" and store.port == 1234
store.set("mine", "here")
assert store.get("mine") == b"here" and len(store.get("of another rank")) == 128
assert store.add("count", 1) == 1 and store.add("count", 2) == 3
store.wait(["of another rank"])
dist.init_process_group("nccl", store=store, rank=5, world_size=128)
import torch
x = torch.ones(1, device="cuda")
dist.broadcast(x, 0)
assert x.item() == 1
dist.destroy_process_group()
""", "--sim-world=128", "--sim-rank=5")
    assert run.code == 0, run.stderr


@pytest.mark.parametrize("arguments, says", [
    (["--sim-world", "4", "--sim-rank", "4", "--", "true"], "--sim-rank: not a rank below --sim-world, 4"),
    (["--sim-rank", "1", "--", "true"], "--sim-rank: not a rank below --sim-world, 0"),
    (["--sim-world", "99999999", "--", "true"], "at most 1000000 ranks"),
    (["--sim-world", "many", "--", "true"], "many"),
    (["--sim-world", "8", "--", "torchrun", "train.py"], "torchrun starts several: run the script itself"),
    (["--sim-world", "8", "--", PYTHON, "-m", "torch.distributed.run", "x.py"], "run the script itself"),
])
def test_usage(arguments, says, tmp_path):
    done = subprocess.run([VRAMTRACK, "run", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr, done.stderr
