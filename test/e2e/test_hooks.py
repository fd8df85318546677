"""Every row of the hook table, by every way to reach it, under both runtimes: recorded once, with the right bytes, kind,
stream and device, gone when freed, and the program's results, last error and errno as without us.

The cases are test/corpus/doors/; the table is contract/cuda_hooks.def; the simulated driver's own books are the
oracle. docs/coverage.md is made from the same runs (see test_coverage_page)."""

import functools
import os
import re
import subprocess
import tempfile

import pytest

from conftest import BUILD, LIBRARY, ROOT, VRAMTRACK

PROGRAMS = BUILD / "test" / "corpus"
TABLE = (ROOT / "contract" / "cuda_hooks.def").read_text()
ROWS = re.findall(r"^HOOK\((runtime|driver), \d+, (\w+),", TABLE, re.M)
RUNTIME_WAYS = ["linked", "dlsym", "dlvsym", "default"]
DRIVER_WAYS = ["linked", "dlsym", "default", "proc", "proc_v2", "entry", "entry_version", "static"]
# Both simulated runtimes are in the global scope: there, RTLD_DEFAULT means the first of them, with or without us.
SHADOWED = {("default", 12)}
ONLY_12 = {"cudaThreadExit", "cudaGraphAddNode_v2"}
# Memory of other processes: not simulated, so a stand-in answers (imports_double.cpp), preloaded, so linked only.
IMPORTS = {
    row
    for _, row in ROWS
    if re.search(r"Ipc(Open|Close)|ImportPointer|ExternalMemoryGetMapped", row)
}


def sim_environment(out, extra_preload=(), trace=True):
    libraries = [str(BUILD / "lib" / "sim" / line) for line in (BUILD / "lib" / "sim" / "preload.txt").read_text().split()]
    preload = [*map(str, extra_preload[:1]), *([str(LIBRARY)] if trace else []), *map(str, extra_preload[1:]), *libraries]
    return {
        **os.environ,
        "LD_PRELOAD": ":".join(p for p in preload if p),
        "VRAMTRACK_SIM": "2x24GiB",
        "VRAMTRACK_OUT": str(out),
        "VRAMTRACK_LAUNCHED": "1",
        "VRAMTRACK_NO_AGENT": "1",
    }


class Doors:
    """One run of the door program: what it said must be recorded, and what was."""

    def __init__(self, way, runtime, before=None, after=None, **changes):
        program = PROGRAMS / {"linked": f"doors_linked_{runtime}", "inside": "doors_inside"}.get(way, "doors")
        command = [str(program), way, str(runtime)]
        self.out = tempfile.mkdtemp(prefix="vramtrack-doors-")
        environment = {**sim_environment(self.out, [before or "", after or ""]), **changes}
        traced = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        plain = subprocess.run(
            command, env=sim_environment(self.out, [before or "", after or ""], trace=False), capture_output=True, text=True, timeout=600
        )
        assert traced.returncode == plain.returncode == 0, (traced.returncode, plain.returncode, traced.stderr, plain.stderr)
        self.stderr = traced.stderr
        self.lines = [line.split(" ", 2) for line in traced.stdout.splitlines()]
        self.plain = [line.split(" ", 2) for line in plain.stdout.splitlines()]
        traces = [name for name in os.listdir(self.out) if name.endswith(".vtrace")]
        assert len(traces) == 1, (traces, traced.stderr)
        dump = subprocess.run(
            [VRAMTRACK, "dump", os.path.join(self.out, traces[0])], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        fields = [(line.split(" ", 1)[0], dict(re.findall(r"(\w+)=(\S+)", line))) for line in dump]
        self.losses = {name: int(value) for what, f in fields if what == "losses" for name, value in f.items()}
        sites = {line.split()[1]: f for line, (what, f) in zip(dump, fields) if what == "site"}
        self.accounts = [f for what, f in fields if what == "account"]
        self.blocks = {}
        for what, f in fields:
            if what == "block":
                site = sites[f["site"]]
                block = {
                    "address": int(f["address"], 16),
                    "bytes": int(f["bytes"]),
                    "stream": int(f["stream"], 16),
                    "kind": site["kind"],
                    "device": int(site["device"]),
                }
                self.blocks.setdefault(block["address"], []).append(block)

    def live(self):
        return [block for blocks in self.blocks.values() for block in blocks]

    def said(self, what, row=None):
        return [line[1:] for line in self.lines if line[0] == what and (row is None or line[1] == row)]

    def results(self, row, plain=False):
        return [line[2] for line in (self.plain if plain else self.lines) if line[0] == "result" and line[1] == row]


@functools.lru_cache(maxsize=None)
def doors(way, runtime):
    return Doors(way, runtime)


@functools.lru_cache(maxsize=None)
def doors_with_imports(runtime):
    return Doors("linked", runtime, after=PROGRAMS / "libimports_double.so")


CELLS = [
    (row, way, runtime)
    for api, row in ROWS
    for way in (RUNTIME_WAYS if api == "runtime" else DRIVER_WAYS)
    for runtime in (12, 13)
    if not (row in ONLY_12 and runtime == 13) and (way, runtime) not in SHADOWED
]


def check_row(run, row):
    reached = [row] in run.said("case")
    if not reached:
        return False
    expected_live = set()
    for _, line in run.said("live", row):
        address, size, kind, stream = line.split()
        expected_live.add(address)
        found = run.blocks.get(int(address, 16), [])
        assert [(b["bytes"], b["kind"], b["stream"]) for b in found if b["kind"] == kind] == [
            (int(size), kind, int(stream))
        ], f"{row} {line}: {found}"
        assert found[0]["device"] == (-1 if kind in ("host_pinned", "registered") else found[0]["device"])
    everything_live = {int(line.split()[0], 16) for _, line in run.said("live")}
    for _, address in run.said("gone", row):
        if int(address, 16) not in everything_live:
            assert int(address, 16) not in run.blocks, f"{row}: {address} was freed"
    for _, line in run.said("device", row):
        address, device = line.split()
        assert run.blocks[int(address, 16)][0]["device"] == int(device)
    assert run.results(row) == run.results(row, plain=True), f"{row}: results differ from the run without vramtrack"
    return True


def newest(row):
    base = re.sub(r"(_v\d)?(_ptsz)?$", "", row)
    versions = {r: int(v) for r, v in re.findall(r"^HOOK\(driver, (\d+), (\w+),", TABLE, re.M) for v, r in [(r, v)]}
    same = [r for r in versions if re.sub(r"(_v\d)?(_ptsz)?$", "", r) == base]
    return versions[row] == max(versions[r] for r in same)


def unreachable(row, way):
    """Without a version, cudaGetDriverEntryPoint answers with the newest function of a name only."""
    return way == "entry" and not newest(row)


@pytest.mark.parametrize("row,way,runtime", CELLS, ids=lambda value: str(value))
def test_door(row, way, runtime):
    run = doors_with_imports(runtime) if row in IMPORTS and way == "linked" else doors(way, runtime)
    assert check_row(run, row) != unreachable(row, way), f"{row} has no case, or is not reached by {way}"


@pytest.mark.parametrize(
    "way,runtime",
    [(w, r) for w in sorted({*RUNTIME_WAYS, *DRIVER_WAYS}) for r in (12, 13) if (w, r) not in SHADOWED],
)
def test_ledger_equals_the_drivers_books(way, runtime):
    """No block too many (recorded twice, or not freed), none missing, every size right."""
    run = doors(way, runtime)
    books = [line.split() for _, line in run.said("oracle")]
    # The memory of a graph's node has its address from the start, and is held (booked by the driver) from the launch.
    left_out = ("module", "graph")
    books = {
        (int(address, 16), kind): (int(size), int(device))
        for address, kind, size, device in books
        if kind not in left_out
    }
    recorded = {(b["address"], b["kind"]): (b["bytes"], b["device"]) for b in run.live() if b["kind"] not in left_out}
    assert recorded.keys() == books.keys()
    for (address, kind), (size, device) in recorded.items():
        if kind != "array":  # the driver pads arrays; the record is their content
            assert size == books[address, kind][0], (hex(address), kind)
        if kind not in ("host_pinned", "registered"):
            assert device == books[address, kind][1], (hex(address), kind)
    lost = ("dropped_events", "unknown_frees", "replaced_blocks", "dropped_stacks", "torn_records")
    assert {name: run.losses[name] for name in lost} == dict.fromkeys(lost, 0)


@pytest.mark.parametrize("runtime", [12, 13])
def test_imports_are_never_own_bytes(runtime):
    run = doors_with_imports(runtime)
    foreign = [b for b in run.live() if b["kind"] in ("ipc", "external")]
    assert len(foreign) == 0 or all(b["bytes"] == 1 << 20 for b in foreign)
    assert foreign
    own = sum(
        b["bytes"] for b in run.live() if b["device"] == 0 and b["kind"] not in ("ipc", "external")
    )
    total = [a for a in run.accounts if a["kind"] == "all" and a["device"] == "0" and a["layer"] == "cuda"]
    assert int(total[0]["live_bytes"]) == own


def test_exports_are_the_table():
    listed = subprocess.run(["nm", "-D", "--defined-only", str(LIBRARY)], check=True, capture_output=True, text=True).stdout
    exported = {line.split()[-1].split("@")[0] for line in listed.splitlines()}
    other = {"dlsym", "dlvsym", "dlclose", "_exit", "_Exit", "quick_exit", "InitializeInjection", "cuptiSubscribe"}
    other |= {f"vramtrack_{name}" for name in ("begin_window", "look", "recording", "totals", "trace")}  # api.cpp
    ranges = {"nvtxRangePushA", "nvtxRangePop", "InitializeInjectionNvtx2",
              "vramtrack_mark", "vramtrack_phase_push", "vramtrack_phase_pop"}
    torch = {
        "_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE",
        "_ZN3c1027reportMemoryUsageToProfilerEPvlllNS_6DeviceE",
        "_ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE",
        "_ZN3c1027reportOutOfMemoryToProfilerElllNS_6DeviceE",
        "_ZN2at15sequence_number17get_and_incrementEv",
    }
    assert exported == {row for _, row in ROWS} | other | torch | ranges
    needed = subprocess.run(["readelf", "-d", str(LIBRARY)], check=True, capture_output=True, text=True).stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", needed) == ["libc.so.6"]


WAY_NAMES = {
    "linked": "called by name (linked)",
    "dlsym": "`dlsym` on a handle",
    "dlvsym": "`dlvsym` with the runtime's version",
    "default": "`dlsym(RTLD_DEFAULT)`",
    "proc": "`cuGetProcAddress`",
    "proc_v2": "`cuGetProcAddress_v2`",
    "entry": "`cudaGetDriverEntryPoint`",
    "entry_version": "`cudaGetDriverEntryPointByVersion`",
    "static": "as a static runtime does it: `cuGetProcAddress_v2` asked for itself, then for the rest",
}


def coverage_page():
    """docs/coverage.md: which function by which way, from the same runs that the tests above judge."""
    lines = [
        "# What is hooked, and by which way",
        "",
        "Made from `contract/cuda_hooks.def` and the door tests by",
        "`VRAMTRACK_WRITE_COVERAGE=1 pytest test/e2e/test_hooks.py -k coverage_page`; the test fails when it is out of date.",
        "A mark says that the call was recorded once, with the right bytes, kind, stream and device, taken out when freed,",
        "and that its result, errno and last error were those of a run without vramtrack, under libcudart 12 and 13.",
        "`-`: the way does not lead to this function. `pass`: the simulated GPU refuses the call (a handle that no process",
        "exported, the 32-bit functions of CUDA 2), and the refusal comes through unchanged.",
        "",
        "Ways: " + "; ".join(f"{i + 1} {name}" for i, name in enumerate(WAY_NAMES.values())) + ".",
        "",
        "| function | " + " | ".join(str(i + 1) for i in range(len(WAY_NAMES))) + " |",
        "|---|" + "---|" * len(WAY_NAMES),
    ]
    for _, row in ROWS:
        cells = []
        for way in WAY_NAMES:
            runtime = 12 if row in ONLY_12 else 13
            if (way, runtime) in SHADOWED:
                cells.append("-")
                continue
            run = doors_with_imports(runtime) if row in IMPORTS and way == "linked" else doors(way, runtime)
            if [row] not in run.said("case"):
                cells.append("-")
            elif run.said("live", row) or run.said("gone", row) or any(" 0 last" in r for r in run.results(row)):
                cells.append("x")
            else:
                cells.append("pass")
        lines.append(f"| `{row}` | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Beside these, PyTorch's caching allocator is heard through `c10::reportMemoryUsageToProfiler` and",
        "`c10::reportOutOfMemoryToProfiler`, and autograd's nodes through `at::sequence_number::get_and_increment`. Its",
        "`cudaMallocAsync` back end reports nothing: there, the stream-ordered calls of `libc10_cuda.so` are the tensors.",
        "`cuptiSubscribe` is exported so that `--audit` can make room for a program that wants CUPTI itself.",
        "",
        "## Real programs that are run as clients",
        "",
        "PyTorch (native, expandable segments, `cudaMallocAsync`), `cuda.bindings`, numba-cuda, a C library opened by Python,",
        "C++ programs linked with `-lcuda`, with the runtime inside (nvcc's default) and with `dlopen` alone: each one's",
        "recorded blocks equal the simulated driver's books, also all in one process (`test/e2e/test_hooks_clients.py`,",
        "`test_hooks_ledger.py`). CuPy's wheel carries NVIDIA's runtime inside, and that runtime refuses a driver that is not",
        "NVIDIA's (`cudaErrorNotSupported` from its first call): CuPy runs in the tests that need a GPU only. So do real cuBLAS,",
        "NCCL, JAX and programs built by nvcc (`test/e2e/test_hooks_gpu.py`, `test_gpu_programs.py`).",
        "",
        "## What is recorded, and what is not",
        "",
        "- Imported memory (IPC, other processes' pools and handles, external memory) is listed with kind `ipc` or",
        "  `external`, and never counted as this process's own bytes. Multicast objects hold no memory.",
        "- A VMM allocation lives until its last reference is released and its last mapping is gone.",
        "- What dies with a context (`cuCtxDestroy`, `cudaDeviceReset`, the last primary release) is taken out then; pools",
        "  and VMM memory outlive it, as cuda.h says.",
        "- Arrays count their elements, layers and mip levels; the driver's padding is not known to anyone outside it.",
        "- The memory of a graph's allocation node, made by itself or by a stream that is captured, is listed (kind `graph`) from",
        "  the moment the node has its address; the driver holds it from the graph's launch. When the program frees it by hand",
        "  and launches the graph again, the second launch's memory is not listed, and freeing that counts as an unknown free.",
        "- Address reservations, attribute and access calls, exports and pool trims move no live bytes and are not hooked.",
        "- CUPTI (`--cupti`, `--audit`) reports a call of a runtime that a library carries inside, and a hook sees the driver's",
        "  part of it: that is one allocation, recorded once and not missed, for every kind (`test/e2e/test_hooks_inside.py`).",
        "  What CUPTI alone sees (a program that cannot be preloaded) lives until its own free: a mapping does not keep VMM",
        "  memory alive there after its release, and the end of a context takes nothing out.",
        "- With two runtimes in one process, a call goes to the one that its caller's library was linked to. A function",
        "  pointer that one library took and another calls is led to the caller's.",
        "",
    ]
    return "\n".join(lines)


def test_coverage_page():
    page = ROOT / "docs" / "coverage.md"
    wanted = coverage_page()
    if os.environ.get("VRAMTRACK_WRITE_COVERAGE"):
        page.write_text(wanted)
    assert page.read_text() == wanted, "run it with VRAMTRACK_WRITE_COVERAGE=1"
