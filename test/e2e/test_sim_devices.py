"""Unmodified PyTorch on the simulated GPU, with nothing traced: processes that share devices, and who asks for them."""

import subprocess

import pytest

from test_sim import sim  # noqa: F401


def test_processes_share_a_device(sim):
    out = sim(
        """
import os, subprocess, sys, torch
x = torch.empty(600 << 20, dtype=torch.uint8, device="cuda")
child = "import torch\\nfree = torch.cuda.mem_get_info()[0]; print(free < 450 << 20)\\n" \\
        "try: torch.empty(600 << 20, dtype=torch.uint8, device='cuda')\\nexcept torch.OutOfMemoryError: print('oom')"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
del x; torch.cuda.empty_cache()
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
print(torch.cuda.mem_get_info()[0] > 900 << 20)  # the children are gone, and their memory with them
""",
        size="1GiB",
    )
    assert out.stdout.split() == ["True", "oom", "False", "True"], out.stdout + out.stderr


def test_tensors_shared_with_a_child_process(sim):
    sim(
        """
import torch, torch.multiprocessing as mp
def child(queue, done):
    x = queue.get(); done.put(x.cpu().sum().item()); del x
if __name__ == "__main__":
    mp.set_start_method("spawn")
    queue, done = mp.Queue(), mp.Queue()
    process = mp.Process(target=child, args=(queue, done)); process.start()
    x = torch.arange(1000.).cuda(); queue.put(x)
    assert done.get(timeout=120) == x.cpu().sum().item()
    process.join(); assert process.exitcode == 0
"""
    )


@pytest.mark.parametrize("backend, ranks", [("nccl", 2), ("gloo", 2)])
def test_data_parallel_and_distributed(sim, backend, ranks):
    sim(
        """
import os, torch, torch.nn as nn, torch.distributed as dist, torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel
def train(rank, ranks):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ["PORT"])
    torch.cuda.set_device(rank)
    dist.init_process_group(os.environ["BACKEND"], rank=rank, world_size=ranks)
    model = DistributedDataParallel(nn.Linear(8, 8).cuda(), device_ids=[rank])
    for _ in range(2): model(torch.randn(4, 8, device="cuda")).sum().backward()
    total = torch.ones(4, device="cuda"); dist.all_reduce(total); dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # a thread of PyTorch's that asks for the GIL while the interpreter ends is ended in C++: std::terminate
if __name__ == "__main__":
    import socket
    with socket.socket() as s: s.bind(("127.0.0.1", 0)); os.environ["PORT"] = str(s.getsockname()[1])
    ranks = int(os.environ["RANKS"]); mp.spawn(train, args=(ranks,), nprocs=ranks)
    nn.DataParallel(nn.Linear(4, 4).cuda())(torch.randn(4, 4, device="cuda")).sum().backward()
""",
        size="2x24GiB",
        env={"BACKEND": backend, "RANKS": str(ranks)},
    )


def test_visible_devices_are_honoured(sim):
    """By the driver; each value in a child of its own, as CUDA reads it once."""
    out = sim(
        """
import ctypes, os, sys
def look(visible):
    if not os.fork():
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
        cuda, count, device, bus = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_int(), []
        status = cuda.cuInit(0)
        cuda.cuDeviceGetCount(ctypes.byref(count))
        for index in range(count.value):
            text = ctypes.create_string_buffer(32)
            assert cuda.cuDeviceGetPCIBusId(text, 32, index) == 0
            assert cuda.cuDeviceGetByPCIBusId(ctypes.byref(device), text) == 0 and device.value == index
            bus.append(text.value.decode()[5:7])
        print(repr(visible), status, *bus, flush=True)
        os._exit(0)
    os.wait()
for visible in "", "2", "2,0", "1,7,0":
    look(visible)
""",
        size="3x1GiB",
    )
    assert out.stdout.splitlines() == ["'' 100", "'2' 0 03", "'2,0' 0 03 01", "'1,7,0' 0 02"]


def test_nvml_sees_the_devices_and_this_process(sim):
    out = sim(
        """
import ctypes, os, torch
nvml = ctypes.CDLL("libnvidia-ml.so.1")
x = torch.empty(600 << 20, dtype=torch.uint8, device="cuda")  # the first that is visible: the machine's second
assert torch.cuda.device_count() == 1
count, device, memory = ctypes.c_uint(), ctypes.c_void_p(), (ctypes.c_ulonglong * 3)()
class Process(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("used", ctypes.c_ulonglong), ("gi", ctypes.c_uint), ("ci", ctypes.c_uint)]
processes, found = (Process * 4)(), ctypes.c_uint(4)
assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
assert nvml.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device)) == 0
assert nvml.nvmlDeviceGetMemoryInfo(device, memory) == 0
assert nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(found), processes) == 0
free, total = torch.cuda.mem_get_info()
assert (count.value, memory[0], memory[1], memory[2]) == (2, total, free, total - free)
assert [(p.pid, p.used) for p in processes[:found.value]] == [(os.getpid(), total - free)]
""",
        size="2x24GiB",
        env={"CUDA_VISIBLE_DEVICES": "1"},
    )
    assert out.returncode == 0


@pytest.mark.parametrize("used", [False, True])
def test_a_jax_that_took_the_cpu_is_named(sim, tmp_path, used):
    """A library at the place of JAX's plugin; whether the program used the device is what counts."""
    (tmp_path / "jax_cuda13_plugin").mkdir()
    plugin = tmp_path / "jax_cuda13_plugin" / "_versions.so"
    (tmp_path / "plugin.c").write_text("int version;")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", plugin, tmp_path / "plugin.c"], check=True)
    done = sim(f"import ctypes\nctypes.CDLL({str(plugin)!r})\nif {used}: ctypes.CDLL('libcuda.so.1').cuInit(0)")
    assert ("JAX did not use the simulated GPU" in done.stderr) == (not used), done.stderr


def test_a_plan_of_cufft_has_a_work_area_of_its_own(sim):
    """On the device until the plan goes, or the program gives it another."""
    sim("""
import ctypes, torch
cufft, plans, size = ctypes.CDLL("libcufft.so.12"), (ctypes.c_int * 3)(), ctypes.c_size_t()
torch.zeros(1, device="cuda")
used = lambda: before - torch.cuda.mem_get_info()[0]
before = torch.cuda.mem_get_info()[0]
for plan in range(2):
    assert cufft.cufftPlan2d(ctypes.byref(plans, 4 * plan), 1024, 1024, 0x29) == 0
assert cufft.cufftGetSize(plans[1], ctypes.byref(size)) == 0 and size.value == 8 << 20
assert used() == 16 << 20, used()
assert cufft.cufftCreate(ctypes.byref(plans, 8)) == 0 and cufft.cufftSetAutoAllocation(plans[2], 0) == 0
assert cufft.cufftMakePlan2d(plans[2], 1024, 1024, 0x29, ctypes.byref(size)) == 0 and size.value == 8 << 20
assert used() == 16 << 20
assert cufft.cufftDestroy(plans[0]) == 0 and used() == 8 << 20
assert cufft.cufftSetWorkArea(plans[1], None) == 0 and used() == 0
assert cufft.cufftDestroy(plans[1]) == 0 and cufft.cufftDestroy(plans[1]) == 1
assert cufft.cufftMakePlan2d(plans[2], 1024, -1, 0x29, None) == 4
""")


def test_a_graph_within_a_graph(sim):
    """It is a copy; its nodes run with the others, and an executable's can be changed."""
    sim("""
import ctypes, torch
cuda, P, N = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p, ctypes.c_size_t
x = torch.zeros(8, dtype=torch.int32, device="cuda")
class Fill(ctypes.Structure):
    _fields_ = [("to", P), ("pitch", N), ("value", ctypes.c_uint), ("size", ctypes.c_uint), ("width", N), ("height", N)]
def fill(at, value):
    return ctypes.byref(Fill(x.data_ptr() + 4 * at, 4, value, 4, 1, 1))
inner, outer, node, child, run = P(), P(), P(), P(), P()
for graph in inner, outer:
    assert cuda.cuGraphCreate(ctypes.byref(graph), 0) == 0
assert cuda.cuGraphAddMemsetNode(ctypes.byref(node), inner, None, N(0), fill(0, 7), None) == 0
assert cuda.cuGraphAddChildGraphNode(ctypes.byref(child), outer, None, N(0), inner) == 0
assert cuda.cuGraphAddMemsetNode(ctypes.byref(node), inner, None, N(0), fill(1, 8), None) == 0  # too late
assert cuda.cuGraphAddMemsetNode(ctypes.byref(node), outer, ctypes.byref(child), N(1), fill(2, 9), None) == 0
found, count = P(), N(9)
assert cuda.cuGraphChildGraphNodeGetGraph(child, ctypes.byref(found)) == 0
assert cuda.cuGraphGetNodes(found, None, ctypes.byref(count)) == 0 and count.value == 1
assert cuda.cuGraphInstantiateWithFlags(ctypes.byref(run), outer, ctypes.c_ulonglong(0)) == 0
assert cuda.cuGraphLaunch(run, None) == 0 and x.tolist() == [7, 0, 9, 0, 0, 0, 0, 0], x
x.zero_()
assert cuda.cuGraphExecChildGraphNodeSetParams(run, child, inner) == 0
assert cuda.cuGraphExecMemsetNodeSetParams(run, node, fill(3, 5), None) == 0
assert cuda.cuGraphExecMemsetNodeSetParams(run, child, fill(3, 5), None) == 1  # another kind of node
assert cuda.cuGraphDestroy(inner) == 0 and cuda.cuGraphDestroy(outer) == 0
assert cuda.cuGraphLaunch(run, None) == 0 and x.tolist() == [7, 8, 0, 5, 0, 0, 0, 0], x
assert cuda.cuGraphExecDestroy(run) == 0
assert cuda.cuGraphChildGraphNodeGetGraph(None, ctypes.byref(found)) == 1
""")


def test_graphs_of_cudnn_have_an_engine(sim):
    """Frameworks other than PyTorch compile nothing without. PyTorch's own use is off."""
    sim("""
import ctypes, torch
cudnn, P, N = ctypes.CDLL("libcudnn.so.9"), ctypes.c_void_p, ctypes.c_int64
cudnn.cudnnGetVersion.restype = ctypes.c_size_t
assert cudnn.cudnnGetVersion() >= torch.backends.cudnn.version() > 90000
handle, heuristic, result, plan, engine, pack = P(), P(), P(), P(), P(), P()
assert cudnn.cudnnCreate(ctypes.byref(handle)) == 0
for kind, made in (4, heuristic), (3, result), (2, engine), (5, plan), (7, pack):
    assert cudnn.cudnnBackendCreateDescriptor(kind, ctypes.byref(made)) == 0
count, number, results = N(-1), N(7), (P * 2)(result, None)
assert cudnn.cudnnBackendGetAttribute(heuristic, 202, 15, N(0), ctypes.byref(count), None) == 0 and count.value == 1
assert cudnn.cudnnBackendGetAttribute(heuristic, 202, 15, N(2), ctypes.byref(count), results) == 0
assert cudnn.cudnnBackendGetAttribute(result, 300, 15, N(1), ctypes.byref(count), ctypes.byref(engine)) == 0
assert cudnn.cudnnBackendGetAttribute(engine, 1301, 3, N(1), ctypes.byref(count), ctypes.byref(number)) == 0
assert (count.value, number.value) == (1, 0)
assert cudnn.cudnnBackendGetAttribute(engine, 1303, 11, N(4), ctypes.byref(count), None) == 0 and count.value == 0
number.value = 5
assert cudnn.cudnnBackendSetAttribute(plan, 404, 3, N(1), ctypes.byref(number)) == 0
number.value = 0
assert cudnn.cudnnBackendGetAttribute(plan, 404, 3, N(1), ctypes.byref(count), ctypes.byref(number)) == 0
assert (count.value, number.value) == (1, 5)
assert cudnn.cudnnBackendGetAttribute(plan, 402, 3, N(1), ctypes.byref(count), ctypes.byref(number)) == 0
assert (count.value, number.value) == (1, 0)
assert cudnn.cudnnBackendFinalize(plan) == 0 and cudnn.cudnnBackendExecute(handle, plan, pack) == 0
for made in heuristic, result, engine, plan, pack:
    assert cudnn.cudnnBackendDestroyDescriptor(made) == 0
assert cudnn.cudnnDestroy(handle) == 0
""")


def test_matrix_layouts_give_back_what_was_set(sim):
    sim("""
import ctypes
lt = ctypes.CDLL("libcublasLt.so.13")
layout, rows, batches = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_int32(7)
sizes = ctypes.c_uint64(5 << 33), ctypes.c_uint64(3), ctypes.c_int64(5)
assert lt.cublasLtMatrixLayoutCreate(ctypes.byref(layout), 0, *sizes) == 0
assert lt.cublasLtMatrixLayoutSetAttribute(layout, 5, ctypes.byref(batches), ctypes.c_size_t(4)) == 0
batches.value = 0
written = ctypes.c_size_t()
assert lt.cublasLtMatrixLayoutGetAttribute(layout, 2, ctypes.byref(rows), ctypes.c_size_t(8), ctypes.byref(written)) == 0
assert lt.cublasLtMatrixLayoutGetAttribute(layout, 5, ctypes.byref(batches), ctypes.c_size_t(4), None) == 0
assert (rows.value, batches.value, written.value) == (5 << 33, 7, 8)
""")
