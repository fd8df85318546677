"""CUPTI as second witness, on a libcupti of our own (test/programs/doors/cupti_double.cpp): what the hooks missed is
recorded (--cupti) or named (--audit), and a CUPTI that cannot be had costs one line."""

import json
import re
import subprocess

import pytest

from conftest import LIBRARY
from test_hooks import PROGRAMS, VRAMTRACK, sim_environment
from test_hooks_regressions import dump, live_blocks

DOUBLE = PROGRAMS / "libcupti_double.so"


def witness(out, mode="witness", **changes):
    environment = {**sim_environment(out, ["", DOUBLE]), "VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), **changes}
    done = subprocess.run(
        [str(PROGRAMS / "door_regressions"), mode], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done


def audit_of(out):
    (trace,) = out.glob("*.vtrace")
    text = subprocess.run([VRAMTRACK, "dump", trace], check=True, capture_output=True, text=True).stdout
    note = re.search(r'^note key="audit" n=0 value="(.*)"$', text, re.M).group(1)
    return json.loads(note.replace('\\"', '"'))


def told(done):
    return {what: (int(address, 16), int(size)) for what, address, size in re.findall(r"^block (\w+) (\S+) (\d+)", done.stdout, re.M)}


def test_audit_of_a_clean_run_says_so(tmp_path):
    done = witness(tmp_path, VRAMTRACK_AUDIT="1")
    # Subscribed from the first allocation on: the second one is what it sees.
    assert re.search(r"audit: CUPTI saw 1 allocations, the hooks missed none\n", done.stderr)
    audit = audit_of(tmp_path)
    assert (audit["allocations"], audit["missed"], audit["missed_functions"]) == (1, 0, [])


def test_audit_names_what_was_missed(tmp_path):
    done = witness(tmp_path, VRAMTRACK_AUDIT="1", HIDDEN="1")
    assert "the hooks missed 2:" in done.stderr
    assert "cuMemAlloc_v2 2 times, 7000 bytes" in done.stderr
    assert audit_of(tmp_path)["missed_functions"] == [{"function": "cuMemAlloc_v2", "count": 2, "bytes": 7000}]
    hidden, _ = told(done)["hidden"]
    assert hidden not in live_blocks(tmp_path)


def test_cupti_records_what_was_missed(tmp_path):
    done = witness(tmp_path, VRAMTRACK_CUPTI="1", HIDDEN="1")
    assert dict(told(done).values()) == live_blocks(tmp_path)
    losses = next(f for what, f in dump(tmp_path) if what == "losses")
    assert {losses[name] for name in ("unknown_frees", "replaced_blocks", "dropped_events")} == {"0"}


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"DOUBLE_BUSY": "1"}, "another tool (torch.profiler, Nsight) holds CUPTI's only subscription"),
        ({"VRAMTRACK_CUPTI_LIBRARY": "/nonexistent/libcupti.so.13"}, "no libcupti.so.12 or .13 can be opened"),
    ],
    ids=["another subscriber", "no library"],
)
def test_without_cupti_the_hooks_go_on(changes, line, tmp_path):
    done = witness(tmp_path, VRAMTRACK_CUPTI="1", **changes)
    assert done.stderr.count(line) == 1
    assert dict(told(done).values()) == live_blocks(tmp_path)


def test_injection_without_preload(tmp_path):
    environment = sim_environment(tmp_path, ["", DOUBLE], trace=False)
    environment |= {"VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), "INJECTION": str(LIBRARY)}
    done = subprocess.run(
        [str(PROGRAMS / "door_regressions"), "injected"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert dict(told(done).values()) == live_blocks(tmp_path)
