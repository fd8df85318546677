"""On a real GPU: the programs that people run (graphs, compiled models, JAX, Hugging Face, Lightning, C++ by nvcc), each
with figures that something else knows too: PyTorch's statistics, the driver's, NVML's, or what the program asked for.
Not part of a plain run: ./test.sh --gpu. test_hooks_gpu.py has the libraries, the figures and the findings."""

import json
import os
import pathlib
import re
import shutil
import site
import subprocess

import pytest

from conftest import PYTHON, ROOT, owners
from test_exports_views import processes, running_loop
from test_findings import LEAK_CODES
from test_stacks import checked
from test_trace import TRAIN, check_replay, only_trace

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("real_gpu", "share_of_the_gpu")]
PROGRAMS = ROOT / "test" / "corpus"
GIB = 1 << 30
MIB = 1 << 20

FIGURES = """
import json, os, torch
def figures(**more):
    torch.cuda.synchronize()
    stats = torch.cuda.memory_stats()
    print("FIGURES", json.dumps({
        "live_bytes": stats["allocated_bytes.all.current"], "live_count": stats["allocation.all.current"],
        "peak_bytes": stats["allocated_bytes.all.peak"], "reserved_bytes": stats["reserved_bytes.all.current"], **more,
    }), flush=True)
"""


def said(done, word="FIGURES"):
    return json.loads(re.search(rf"^{word} (.*)$", done.stdout, re.M)[1])


def equals_torch(report, figures):
    totals = [total for total in report["totals"] if total["layer"] == "tensor"]
    for key in ("live_bytes", "live_count", "peak_bytes"):
        assert sum(total[key] for total in totals) == figures[key], key
    blocks = [block for block in report["allocations"] if block["layer"] == "tensor"]
    assert (sum(block["bytes"] for block in blocks), len(blocks)) == (figures["live_bytes"], figures["live_count"])
    assert owners(report)["torch"] == figures["reserved_bytes"]


def leaks(report):
    return [finding for finding in report["findings"] if finding["code"] in LEAK_CODES]


# ---- PyTorch ---------------------------------------------------------------------------------------------------------

GRAPH = FIGURES + """
model = torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 64)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), capturable=True)
batch = torch.randn(256, 1024, device="cuda")
def step():
    optimizer.zero_grad(set_to_none=True)
    loss = model(batch).square().mean()
    loss.backward()
    optimizer.step()
    return loss
side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    for _ in range(3):
        step()
torch.cuda.current_stream().wait_stream(side)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    loss = step()
before = torch.cuda.memory_allocated()
for _ in range(20):
    batch.copy_(torch.randn(256, 1024, device="cuda"))
    graph.replay()
figures(grown=torch.cuda.memory_allocated() - before)
os._exit(0)     # with everything alive
"""


def test_cuda_graph_of_a_training_step(audited):
    """Captured memory is the graph's private pool's, and replays allocate nothing."""
    report, done = audited(GRAPH)
    figures = said(done)
    assert figures.pop("grown") == 0
    equals_torch(report, figures)
    assert leaks(report) == []


COMPILED = FIGURES + """
model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.GELU(), torch.nn.LayerNorm(1024), torch.nn.Linear(1024, 8)).cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
compiled = torch.compile(model, mode=MODE)
for _ in range(8):
    optimizer.zero_grad()
    loss = compiled(torch.randn(64, 512, device="cuda")).square().mean()
    loss.backward()
    optimizer.step()
figures(loss=loss.item())
os._exit(0)     # inductor's own exit frees some
"""


def check_ran(script, done, tmp_path, environment):
    """torch.compile needs a C compiler and Python's headers: says whether it is that, or us."""
    if done.code == 0:
        return
    path = tmp_path / "plain.py"
    path.write_text(script)
    plain = subprocess.run([PYTHON, path], env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    who = "with vramtrack only" if plain.returncode == 0 else "without vramtrack too"
    pytest.fail(f"fails {who}: {done.stderr}{plain.stderr}")


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_training(mode, traced, tmp_path):
    script = COMPILED.replace("MODE", repr(mode))
    environment = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
                   "TRITON_CACHE_DIR": str(tmp_path / "triton")}
    done = traced(script, "--audit", sim=None, env=environment)
    check_ran(script, done, tmp_path, environment)
    report = done.report()
    assert (report["audit"]["missed"], report["audit"]["missed_functions"]) == (0, [])
    figures = said(done)
    assert figures.pop("loss") > 0
    equals_torch(report, figures)
    assert report["steps"]["count"] == 8
    assert leaks(report) == []
    assert "script1.py:" in done.stderr  # the user's lines, not those that inductor wrote


STREAMS = FIGURES + """
import random, threading
kept, streams = [], [torch.cuda.Stream() for _ in range(8)]
def work(number):
    pick = random.Random(number)
    mine = []
    with torch.cuda.stream(streams[number]):
        for _ in range(400):
            mine.append(torch.empty(pick.randrange(1, 1 << 20), device="cuda").normal_())
            mine[-1].record_stream(streams[pick.randrange(8)])     # its memory waits for that stream when it is freed
            if len(mine) > 20:
                mine.pop(pick.randrange(len(mine)))
    kept.extend(mine)
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
figures()
"""


def test_threads_on_streams_of_their_own(audited):
    report, done = audited(STREAMS)
    equals_torch(report, said(done))
    assert leaks(report) == []


LOADED = FIGURES + """
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 512
    def __getitem__(self, i):
        return torch.full((3, 32, 32), float(i)), i % 10
if __name__ == "__main__":
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.BatchNorm2d(32), torch.nn.ReLU(), torch.nn.Flatten(),
                                torch.nn.Linear(32 * 30 * 30, 10)).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(2):
        for images, labels in torch.utils.data.DataLoader(Numbers(), 64, num_workers=2, pin_memory=True):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(model(images.cuda(non_blocking=True)), labels.cuda())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    figures(pid=os.getpid())
"""


def test_stacks_are_exact_in_real_training(traced):
    """Forward, backward, loader workers, cuDNN: every remembered stack is compared with a fresh walk."""
    done = traced(LOADED, sim=None, env={"VRAMTRACK_CHECK_STACKS": "1"})
    assert done.code == 0, done.stderr
    stacks, _, _, mismatches = checked(done)
    assert stacks > 500 and mismatches == 0, done.stderr
    figures = said(done)
    report = done.reports()[figures.pop("pid")]
    equals_torch(report, figures)
    assert report["steps"]["count"] == 16
    assert leaks(report) == []


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_killed_in_training(traced):
    done = traced(TRAIN.replace("STEPS", "30") + "os.kill(os.getpid(), signal.SIGKILL)\n", sim=None)
    assert done.code == 137, done.stderr
    report = done.report()
    assert report["process"]["end"] == {"kind": "killed", "code": 9}
    (total,) = [total for total in report["totals"] if total["layer"] == "tensor"]
    assert [total["live_bytes"], total["live_count"], total["peak_bytes"]] == json.loads(done.stdout.splitlines()[-1])
    assert sum(block["bytes"] for block in report["allocations"] if block["layer"] == "tensor") == total["live_bytes"]
    assert report["steps"]["count"] == 30


def test_out_of_memory_names_the_container(traced):
    limit = {"PYTORCH_CUDA_ALLOC_CONF": "per_process_memory_fraction:0.05"}
    done = traced([PYTHON, PROGRAMS / "faq" / "out-of-memory" / "guilty_kept_outputs.py"], sim=None, env=limit)
    assert "out of memory" in done.stdout, done.stderr
    report = done.oom()
    (finding,) = [finding for finding in report["findings"] if finding["code"] == "out-of-memory"]
    assert finding["variable"] == "outputs"
    held = [block for block in report["allocations"] if block["tensor"] and "outputs" in block["tensor"]["holder"]]
    assert len(held) >= 2 and all(block["bytes"] == GIB for block in held)
    assert finding["evidence"]["freeable_bytes"] == len(held) * GIB
    assert finding["evidence"]["requested_bytes"] == GIB


# ---- the driver's and NVML's figures -----------------------------------------------------------------------------------

LEDGER = FIGURES + """
import ctypes, time
nvml = ctypes.CDLL("libnvidia-ml.so.1")
runtime = ctypes.CDLL("libcudart.so.13")
class Process(ctypes.Structure):     # nvmlProcessInfo_t
    _fields_ = [("pid", ctypes.c_uint), ("bytes", ctypes.c_ulonglong), ("gi", ctypes.c_uint), ("ci", ctypes.c_uint)]
def process_bytes():
    device, count, found = ctypes.c_void_p(), ctypes.c_uint(256), (Process * 256)()
    assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
    assert nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), found) == 0
    return next((p.bytes for p in found[:count.value] if p.pid == os.getpid()), None)
def device_bytes():
    free, total = torch.cuda.mem_get_info()
    return total - free
def cuda_malloc(n):
    p = ctypes.c_void_p()
    assert runtime.cudaMalloc(ctypes.byref(p), ctypes.c_size_t(n)) == 0
    return p
torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")
torch.cuda.synchronize()
before = process_bytes()
kept = [cuda_malloc(64 << 20), cuda_malloc(32 << 20), torch.empty(100 << 20, dtype=torch.uint8, device="cuda")]
after = process_bytes()
# Other programs use the device too: until nothing else moved between three looks.
for _ in range(100):
    first = device_bytes()
    p = cuda_malloc(48 << 20)
    second = device_bytes()
    runtime.cudaFree(p)
    if second - first == 48 << 20:
        break
    time.sleep(0.02)
figures(before=before, after=after, rise=second - first)
os._exit(0)
"""


def test_recorded_bytes_are_the_drivers(traced):
    """What is recorded is what NVML counts for the process and what the driver has less; the rest, the context, is the
    same before and after; and the ledger's parts are its sum."""
    done = traced(LEDGER, sim=None)
    assert done.code == 0, done.stderr
    figures, report = said(done), done.report()
    before, after, rise = (figures.pop(key) for key in ("before", "after", "rise"))
    equals_torch(report, figures)
    page = 4 * MIB  # page tables may come on top
    assert 48 * MIB <= rise <= 48 * MIB + page
    (ledger,) = report["ledger"]
    everything = sum(owner["bytes"] for owner in ledger["owners"])
    parts = ledger["tensors_live_bytes"] + ledger["cached_bytes"] + everything - owners(report)["torch"]
    assert parts + ledger["context_and_other_bytes"] == ledger["driver_used_bytes"]
    assert parts == everything >= (64 + 32 + 100) * MIB
    if after is not None:  # a container's NVML does not know its processes
        assert 0 <= after - before - (64 + 32 + 100) * MIB <= page
        assert 0 < after - everything <= ledger["context_and_other_bytes"]


def test_ps_and_top_of_a_running_process(tmp_path, vramtrack):
    with running_loop(tmp_path, sim=None) as (launcher, pid, trace):
        holder = processes(vramtrack)[pid]
        assert not holder["leftover"] and holder["trace"] == str(trace) and any("0" in device for device in holder["devices"])
        assert "loop.py" in holder["command"]
        top = vramtrack("top", "--once", "--bytes", pid)
        assert top.returncode == 0, top.stderr
        live = int(re.search(r"cuda:0.* live +(\d+) in", top.stdout)[1])
        assert live > MIB and "loop.py" in top.stdout
        assert processes(vramtrack)[pid]["bytes"] >= live
        assert str(pid) in vramtrack("ps").stdout


@pytest.mark.alone  # events that lie further apart in time cost more bytes
def test_history_and_its_page(traced, vramtrack, tmp_path):
    done = traced(TRAIN.replace("STEPS", "150"), "--history", sim=None)
    assert done.code == 0, done.stderr
    trace = only_trace(done.out)
    check_replay(trace)
    page = tmp_path / "page.html"
    made = vramtrack("report", trace, "--format", "html", "-o", page)
    assert made.returncode == 0, made.stderr
    text = page.read_text()
    assert "script1.py" in text and "</html>" in text
    perfetto = vramtrack("report", trace, "--format", "perfetto", "-o", tmp_path / "out.perfetto")
    assert perfetto.returncode == 0 and (tmp_path / "out.perfetto").stat().st_size > 10_000


# ---- C++ by nvcc -------------------------------------------------------------------------------------------------------


def libcupti():
    """PyTorch's wheels have one, which a program without Python has to be told of."""
    for folder in map(pathlib.Path, site.getsitepackages()):
        for found in sorted(folder.glob("nvidia/*/lib/libcupti.so.1[23]")):
            return {"VRAMTRACK_CUPTI_LIBRARY": str(found)}
    return {}


@pytest.fixture(scope="module", params=["static", "shared"])
def memory_program(request, tmp_path_factory):
    """test/corpus/gpu/memory.cpp with its runtime inside, which is nvcc's default, or shared."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    program = tmp_path_factory.mktemp("nvcc") / f"memory_{request.param}"
    source = PROGRAMS / "gpu" / "memory.cpp"
    command = [nvcc, "-x", "cu", "-arch=native", source, "-o", program, "-cudart", request.param, "-lcuda"]
    subprocess.run([str(word) for word in command], check=True)
    return program


@pytest.mark.parametrize("ending", ["return", "_exit"])
def test_cpp_program_with_every_kind_of_memory(memory_program, ending, audited):
    """To the byte what the program asked for; what it freed is gone; also when main() returns and CUDA tears down."""
    report, done = audited([memory_program, ending], **libcupti())
    assert "refused 2 2" in done.stdout
    wanted = sorted((kind, int(size), 0 if kind == "vmm" else int(address, 16))
                    for kind, size, address in re.findall(r"^live (\w+) (\d+) (0x\w+)$", done.stdout, re.M))
    # The module of a kernel is no allocation of the program's.
    recorded = sorted((block["kind"], block["bytes"], 0 if block["kind"] == "vmm" else int(block["address"], 16))
                      for block in report["allocations"])
    assert recorded == wanted and len(wanted) == 17
    assert [oom["requested_bytes"] for oom in report["ooms"]] == [1 << 46]
    device = sum(size for kind, size, _ in wanted if kind not in ("host_pinned", "registered"))
    assert owners(report) == {"program": device}


# ---- other frameworks --------------------------------------------------------------------------------------------------

JAX = """
import json, os, jax, jax.numpy as jnp
@jax.jit
def step(weights, batch):
    return weights - 0.001 * jax.grad(lambda w: jnp.mean((batch @ w) ** 2))(weights)
weights, batch = jnp.ones((1024, 1024)), jnp.ones((64, 1024))
for _ in range(5):
    weights = step(weights, batch)
weights.block_until_ready()
device = jax.devices()[0]
print("FIGURES", json.dumps({"platform": device.platform, "value": float(weights.mean()), "stats": device.memory_stats()}), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("preallocate", ["true", "false"])
def test_jax_training_step(preallocate, traced):
    """Its own pool: one block for the whole, or a few that grow. Each belongs to JAX, and JAX computes as it should."""
    environment = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": preallocate, "XLA_CLIENT_MEM_FRACTION": "0.05"}
    done = traced(JAX, sim=None, env=environment)
    assert done.code == 0, done.stderr
    figures, report = said(done), done.report()
    assert figures["platform"] in ("gpu", "cuda")
    # The gradient of mean((batch @ w)**2) is the same in every entry: one number stands for all.
    value = 1.0
    for _ in range(5):
        value -= 0.001 * 2 * 1024 * value * 64 / (64 * 1024)
    assert figures["value"] == pytest.approx(value, rel=1e-2)
    held = owners(report).get("jax", 0)
    stats = figures["stats"] or {}
    assert held >= max(stats.get("bytes_in_use", 0), 4 * MIB)
    share = 0.05 * report["environment"]["devices"][0]["total_bytes"]
    assert held >= 0.9 * share if preallocate == "true" else held < 0.5 * share
    assert {k: report["losses"][k] for k in ("dropped_events", "unknown_frees")} == {"dropped_events": 0, "unknown_frees": 0}


GPT2 = FIGURES + """
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup
STEPS = 20
model = GPT2LMHeadModel(GPT2Config(n_layer=3, n_head=4, n_embd=256, vocab_size=1000, n_positions=128)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
schedule = get_linear_schedule_with_warmup(optimizer, 2, STEPS)
losses = []
for _ in range(STEPS):
    tokens = torch.randint(0, 1000, (4, 64), device="cuda")
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    losses.append(loss.item())
figures()
"""

LIGHTNING = FIGURES + """
try:
    import lightning
except ImportError:
    import pytorch_lightning as lightning
class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    def training_step(self, batch, index):
        loss = self.layers(batch[0]).square().mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(320, 64)), batch_size=16)
trainer = lightning.Trainer(max_epochs=1, accelerator="gpu", devices=1, logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, enable_model_summary=False)
model = Model()
trainer.fit(model, data)
figures()
"""


@pytest.mark.parametrize("script", [GPT2, LIGHTNING], ids=["transformers", "lightning"])
def test_framework_loops(script, audited):
    """The step clock counts their steps, and their memory is no leak."""
    report, done = audited(script, HF_HUB_OFFLINE="1")
    equals_torch(report, said(done))
    assert (report["steps"]["count"], report["steps"]["source"]) == (20, "optimizer")
    assert leaks(report) == []
