"""CUPTI as second witness, on a libcupti of our own (test/corpus/doors/cupti_double.cpp): what the hooks missed is
recorded (--cupti) or named (--audit), and a CUPTI that cannot be had costs one line."""

import json
import re
import subprocess

import jsonschema
import pytest

from conftest import LIBRARY, ROOT
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


def report_of(out, form="json"):
    (trace,) = out.glob("*.vtrace")
    done = subprocess.run([VRAMTRACK, "report", trace, "--format", form], check=True, capture_output=True, text=True)
    return json.loads(done.stdout) if form == "json" else done.stdout


def audit_of(out):
    report = report_of(out)
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    return report["audit"]


def audit_lines(out):
    return re.findall(r"^audit: .*", report_of(out, "text"), re.M)


def told(done):
    return {what: (int(address, 16), int(size)) for what, address, size in re.findall(r"^block (\w+) (\S+) (\d+)", done.stdout, re.M)}


def test_audit_of_a_clean_run_says_so(tmp_path):
    witness(tmp_path, VRAMTRACK_AUDIT="1")
    # Subscribed from the first allocation on: the second one is what it sees.
    assert audit_lines(tmp_path) == ["audit: CUPTI saw 1 allocation, all recorded"]
    audit = audit_of(tmp_path)
    assert (audit["allocations"], audit["missed"], audit["missed_functions"]) == (1, 0, [])
    assert audit["complete"] and audit["unavailable"] is None and not audit["handed_over"]


def test_audit_names_what_was_missed(tmp_path):
    done = witness(tmp_path, VRAMTRACK_AUDIT="1", HIDDEN="1")
    assert audit_lines(tmp_path) == ["audit: CUPTI saw 3 allocations, missed 2: cuMemAlloc_v2 2 times, 6.84 KiB"]
    assert audit_of(tmp_path)["missed_functions"] == [{"function": "cuMemAlloc_v2", "count": 2, "bytes": 7000}]
    hidden, _ = told(done)["hidden"]
    assert hidden not in live_blocks(tmp_path)


def test_memory_of_graphs_is_compared_and_launches_are_explained(tmp_path):
    """A graph's launch allocates without any call of an allocating function. Its memory is compared when the nodes are
    made, and the launches are named, so that nothing that CUPTI reports is left without a word."""
    done = witness(tmp_path / "clean", "witness_graph", VRAMTRACK_AUDIT="1")
    clean = audit_of(tmp_path / "clean")
    assert (clean["allocations"], clean["missed"]) == (1, 0)
    assert clean["explained"] == [{"function": "cudaGraphLaunch", "count": 3}]
    assert clean["graph_peak_bytes"] >= told(done)["node"][1]
    (line,) = audit_lines(tmp_path / "clean")
    assert line.startswith("audit: CUPTI saw 1 allocation, all recorded; explained: cudaGraphLaunch 3 times (")

    done = witness(tmp_path / "hidden", "witness_graph", VRAMTRACK_AUDIT="1", HIDDEN="1")
    hidden = audit_of(tmp_path / "hidden")
    assert (hidden["allocations"], hidden["missed"]) == (2, 1)
    assert hidden["missed_functions"] == [{"function": "cuGraphAddNode_v2", "count": 1, "bytes": 5000}]
    assert told(done)["hidden"][0] not in live_blocks(tmp_path / "hidden")

    done = witness(tmp_path / "recorded", "witness_graph", VRAMTRACK_CUPTI="1", HIDDEN="1")
    assert dict(told(done).values()) == live_blocks(tmp_path / "recorded")

    witness(tmp_path / "plain", "witness_graph", VRAMTRACK_AUDIT="1", NO_MEMORY="1")
    plain = audit_of(tmp_path / "plain")
    assert (plain["explained"], plain["graph_peak_bytes"], plain["missed"]) == ([], 0, 0)


def test_without_being_asked_there_is_no_audit(tmp_path):
    witness(tmp_path)
    assert audit_of(tmp_path) is None and audit_lines(tmp_path) == []


def test_launcher_end_to_end(traced):
    """vramtrack run --audit: the verdict is in the JSON report and in the text at the end of the run."""
    # The launcher puts the library before what is preloaded already: the double, and the simulated GPU behind it.
    preload = sim_environment(".", ["", DOUBLE], trace=False)["LD_PRELOAD"]
    library = {"VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), "LD_PRELOAD": preload}
    command = [PROGRAMS / "door_regressions", "witness"]
    clean = traced(command, "--audit", sim=None, env=library)
    missed = traced(command, "--audit", sim=None, env={**library, "HIDDEN": "1"})
    recorded = traced(command, "--cupti", sim=None, env={**library, "HIDDEN": "1"})
    assert (clean.code, missed.code, recorded.code) == (0, 0, 0), clean.stderr + missed.stderr + recorded.stderr
    assert "audit: CUPTI saw 1 allocation, all recorded\n" in clean.stderr
    assert "audit: CUPTI saw 3 allocations, missed 2: cuMemAlloc_v2 2 times" in missed.stderr
    assert "of which the hooks missed 2: cuMemAlloc_v2 2 times, 6.84 KiB (recorded through CUPTI)" in " ".join(
        recorded.stderr.split())
    assert [run.report()["audit"]["missed"] for run in (clean, missed, recorded)] == [0, 2, 2]
    assert len(recorded.report()["allocations"]) == len(missed.report()["allocations"]) + 1


def test_doors_are_in_the_report(tmp_path):
    witness(tmp_path)
    doors = report_of(tmp_path)["doors"]
    assert doors["driver"].endswith("libcuda.so.1") and doors["unwrapped"] == 0
    assert any(path.endswith("libcudart.so.13") for path in doors["runtimes"])
    assert {"cudaMalloc", "cudaFree"} <= {*doors["by_name"], *doors["by_look_up"]}


def test_a_program_that_wants_cupti_gets_it(tmp_path):
    """torch.profiler while --audit holds the only subscription: the profile goes on, and the audit says where it ends."""
    done = witness(tmp_path, "profiler", VRAMTRACK_AUDIT="1")
    assert "cuptiSubscribe\"))(&subscriber, nullptr, nullptr) = 0" in done.stdout
    assert done.stderr.count("it is handed over, and the hooks go on") == 1
    assert audit_lines(tmp_path) == ["audit: until the program took CUPTI for itself, it saw 1 allocation, all recorded"]
    assert audit_of(tmp_path)["handed_over"]
    assert dict(told(done).values()) == live_blocks(tmp_path)


PROFILED = """
import torch
from torch.profiler import ProfilerActivity, profile
layer = torch.nn.Linear(64, 64).cuda()
kept = [torch.ones(9 << 20, device="cuda")]      # a segment of its own, before the profile and within it
with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], profile_memory=True) as profiler:
    layer(torch.ones(8, 64, device="cuda")).sum().backward()
    kept.append(torch.ones(9 << 20, device="cuda"))
stats = torch.cuda.memory_stats()
print("profiled", len(profiler.events()) > 0, stats["allocated_bytes.all.current"], stats["reserved_bytes.all.current"])
"""


@pytest.mark.parametrize("option", ["--audit", "--cupti"])
def test_torch_profiler_through_the_launcher(option, traced):
    """torch.profiler itself, on the double: it gets CUPTI, one line says so, and nothing is lost by it."""
    preload = sim_environment(".", ["", DOUBLE], trace=False)["LD_PRELOAD"]
    run = traced(PROFILED, option, sim=None, env={"VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), "LD_PRELOAD": preload})
    assert run.code == 0, run.stderr
    allocated, reserved = map(int, re.search(r"^profiled True (\d+) (\d+)$", run.stdout, re.M).groups())
    assert run.stderr.count("it is handed over, and the hooks go on") == 1
    assert "audit: until the program took CUPTI for itself, it saw 1 allocation, all recorded" in " ".join(run.stderr.split())
    report = run.report()
    assert report["audit"]["handed_over"] and report["audit"]["missed"] == 0
    live = {layer: sum(t["live_bytes"] for t in report["totals"] if (t["layer"], t["device"]) == (layer, 0))
            for layer in ("tensor", "cuda")}
    assert live == {"tensor": allocated, "cuda": reserved}


def test_several_subscribers(tmp_path):
    """From CUDA 13.3 on, the program's subscription and ours live side by side."""
    done = witness(tmp_path, "profiler", VRAMTRACK_AUDIT="1", DOUBLE_VERSION="130300")
    assert "handed over" not in done.stderr
    assert audit_lines(tmp_path) == ["audit: CUPTI saw 2 allocations, all recorded"]


def test_a_program_that_has_cupti_alone_is_left_alone(tmp_path):
    """Its subscription is passed through, refused or not."""
    for busy, answer in (("", "= 0"), ("1", "= 39")):
        done = witness(tmp_path / busy, "profiler", **({"DOUBLE_BUSY": busy} if busy else {}))
        assert f'(&subscriber, nullptr, nullptr) {answer}' in done.stdout and done.stderr == ""


def test_cupti_records_what_was_missed(tmp_path):
    """Also where the size is the call's answer (pitch), or a shape (arrays)."""
    done = witness(tmp_path, VRAMTRACK_CUPTI="1", HIDDEN="1", HIDDEN_SHAPES="1")
    assert {"hidden", "pitched", "array"} <= told(done).keys()
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
    assert audit_lines(tmp_path) == [f"audit: not made, {line}"]
    assert audit_of(tmp_path)["unavailable"] == line
    assert dict(told(done).values()) == live_blocks(tmp_path)


def test_injection_without_preload(tmp_path):
    environment = sim_environment(tmp_path, ["", DOUBLE], trace=False)
    environment |= {"VRAMTRACK_CUPTI_LIBRARY": str(DOUBLE), "INJECTION": str(LIBRARY)}
    done = subprocess.run(
        [str(PROGRAMS / "door_regressions"), "injected"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert dict(told(done).values()) == live_blocks(tmp_path)
