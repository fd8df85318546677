"""Libraries that carry their own runtime (cuBLAS, NCCL, CuPy) while CUPTI is asked too: it reports the runtime's call,
around which there is no hook, and a hook sees the driver's call within. Both are one event, for every kind of memory,
also when the call fails and when another thread is given the address at once. On the simulated GPU and the CUPTI double
(test/corpus/doors/inside.cpp, races.cpp)."""

import functools
import pathlib
import re
import subprocess

import pytest

from conftest import ROOT
from test_hooks import PROGRAMS, Doors, check_row, sim_environment
from test_hooks_cupti import DOUBLE, audit_of
from test_hooks_regressions import dump, live_blocks

REPORTED = re.findall(
    r"^RUNTIME\((\w+),", (ROOT / "test" / "corpus" / "doors" / "reported.def").read_text(), re.M
)
MODES = ["VRAMTRACK_AUDIT", "VRAMTRACK_CUPTI"]
LOST = {"unknown_frees", "replaced_blocks", "dropped_events", "dropped_stacks", "torn_records"}


@functools.lru_cache(maxsize=None)
def inside(mode):
    return Doors("inside", 13, after=DOUBLE, **{mode: "1", "VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE)})


def losses(out):
    counted = next(fields for what, fields in dump(out) if what == "losses")
    return {name: int(counted[name]) for name in LOST}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", REPORTED)
def test_recorded_once(row, mode):
    assert check_row(inside(mode), row), f"{row} has no case, or is not reached"


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_missed(mode):
    """CUPTI saw every allocation of the cases, and the hooks had each of them."""
    run = inside(mode)
    audit = audit_of(pathlib.Path(run.out))
    assert (audit["missed"], audit["missed_functions"]) == (0, [])
    # Each row that allocates does so at least once; it is subscribed from the first on.
    allocating = [row for row in REPORTED if "Malloc" in row or "Alloc" in row or row == "cudaHostRegister"]
    assert audit["allocations"] >= len(allocating) - 1
    assert {name: run.losses[name] for name in LOST} == dict.fromkeys(LOST, 0)
    books = {line.split()[0]: line.split()[1] for _, line in run.said("oracle")}
    held = {a for a, kind in books.items() if kind not in ("module", "graph")}
    assert {hex(b["address"]) for b in run.live() if b["kind"] != "graph"} == held


def races(out, mode, *arguments, preload=(), **changes):
    environment = {**sim_environment(out, ["", DOUBLE, *preload]), "VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), mode: "1", **changes}
    done = subprocess.run(
        [str(PROGRAMS / "door_races"), *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    wanted = {(int(a, 16), int(size)) for a, size in re.findall(r"^block \w+ (\S+) (\d+)", done.stdout, re.M)}
    assert wanted == set(live_blocks(out).items())
    assert losses(out) == dict.fromkeys(LOST, 0)
    return done, audit_of(out)


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_call_changes_nothing(mode, tmp_path):
    """Of every kind: an allocation that fails, frees that fail, and one that is done again after that."""
    done, audit = races(tmp_path, mode, "refuse")
    kinds = set(re.findall(r"^block (\w+)", done.stdout, re.M)) - {"first"}
    assert len(kinds) == 9
    assert (audit["allocations"], audit["missed"]) == (3 * len(kinds), 0)


@pytest.mark.parametrize("mode", MODES)
def test_memory_that_is_open_twice_stays_after_one_close(mode, tmp_path):
    races(tmp_path, mode, "import", preload=[PROGRAMS / "libimports_double.so"])


@pytest.mark.parametrize("mode, hidden", [("VRAMTRACK_AUDIT", {}), ("VRAMTRACK_CUPTI", {}), ("VRAMTRACK_CUPTI", {"HIDDEN": "1"})])
def test_threads_that_take_each_others_addresses(mode, hidden, tmp_path):
    """By a runtime inside, by the shared runtime and, with HIDDEN, where only CUPTI can see it; a block is freed by any
    of these, at times after a free that failed."""
    done, audit = races(tmp_path, mode, "threads", "4", "10000", **hidden)
    assert int(re.search(r"^reused (\d+)$", done.stdout, re.M)[1]) > 1000
    missed = {entry["function"] for entry in audit["missed_functions"]}
    assert missed == ({"cuMemAlloc_v2"} if hidden else set())
