"""Compiled code on the simulated GPU: Inductor, CUDA graphs around it, flex attention, and a Triton kernel by hand. The
kernels are compiled and launched, and compute nothing; every block is there, and points at a line of the script."""

import pytest

FIGURES = """
import os, torch
def figures():
    torch.cuda.synchronize()
    stats = torch.cuda.memory_stats()
    print(stats["allocated_bytes.all.current"], stats["allocated_bytes.all.peak"], flush=True)
    os._exit(0)  # what is alive is what was counted
"""

TRAINING = """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.LayerNorm(256), nn.Linear(256, 1)).cuda()
optimizer = torch.optim.AdamW(net.parameters())


@torch.compile(mode=MODE)
def loss_of(batch):
    hidden = net(batch) * 2
    return hidden.pow(2).mean()


for step in range(4):
    torch.compiler.cudagraph_mark_step_begin()
    loss = loss_of(torch.randn(32, 64, device="cuda"))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""

FLEX = """
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

attend = torch.compile(flex_attention)
mask = create_block_mask(lambda batch, head, q, kv: q >= kv, None, None, 256, 256, device="cuda")
q, k, v = (torch.randn(1, 2, 256, 64, device="cuda", requires_grad=True) for _ in range(3))
for step in range(2):
    attend(q, k, v, block_mask=mask).sum().backward()
"""

KERNEL = """
import torch, triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n), mask=at < n)


x = torch.ones(10_000, device="cuda")
y = torch.ones(10_000, device="cuda")
out = torch.empty_like(x)
add[(triton.cdiv(10_000, 256),)](x, y, out, 10_000, BLOCK=256)
"""


@pytest.mark.parametrize("script", [
    pytest.param(TRAINING.replace("MODE", "'default'"), id="default"),
    pytest.param(TRAINING.replace("MODE", "'reduce-overhead'"), id="reduce-overhead"),
    pytest.param(FLEX, id="flex-attention"),
    pytest.param(KERNEL, id="kernel"),
])
def test_compiled_code_runs(script, traced, tmp_path):
    caches = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
              "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    run = traced(FIGURES + script + "\nfigures()\n", env=caches)
    assert run.code == 0, run.stderr
    assert "is not simulated" not in run.stderr, run.stderr
    report = run.report()
    (total,) = [one for one in report["totals"] if one["layer"] == "tensor"]
    assert [total["live_bytes"], total["peak_bytes"]] == [int(word) for word in run.stdout.split()[-2:]]
    assert [finding["code"] for finding in report["findings"] if finding["severity"] != "info"] == []
    assert report["losses"]["dropped_events"] == report["losses"]["unknown_frees"] == 0
    # Each site has a line of the script; that of a compiled graph is where the graph was made or called.
    frames = report["frames"]
    for site in report["sites"]:
        if site["layer"] == "tensor":
            stack = site["stack"] + (site["backward_of"] or [])
            functions = [frames[i]["function"] for i in site["stack"]]
            assert any(frames[i]["file"].endswith("script1.py") for i in stack), functions
