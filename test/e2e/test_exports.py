"""Each export is read by its real consumer, and says what the JSON report says; hostile names come through as text."""

import gzip
import json
import pickle
import re
import shutil
import subprocess
import sys

import jsonschema
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2

from conftest import PYTHON, ROOT, VRAMTRACK

sys.path.insert(0, str(ROOT / "test" / "corpus"))
import synthetic_report  # noqa: E402

WORKLOADS = ROOT / "test" / "corpus" / "workloads.py"
MEASURES = ["live_bytes", "live_count", "peak_bytes", "allocated_bytes", "allocated_count"]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "report.json"
    report = synthetic_report.build(synthetic_report.parse(["--oom", "--hostile", "--frames", "3000"]))
    path.write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    out = tmp_path_factory.mktemp("real")
    command = [VRAMTRACK, "run", "--quiet", "-o", out, "--sim=16GiB", "--", PYTHON, WORKLOADS, "transformer"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return next(out.glob("vramtrack-*.vtrace"))


@pytest.fixture(params=["synthetic", "real"])
def exported(request, vramtrack, tmp_path):
    """exported(format) -> (the report as JSON, the path of the export), of a made-up report and of a traced training."""
    source = request.getfixturevalue(request.param)

    def export(name, *options):
        paths = {}
        for output in ("json", name):
            paths[output] = tmp_path / f"export.{output}"
            done = vramtrack("report", source, "--format", output, "-o", paths[output], *options)
            assert done.returncode == 0, done.stderr
        return json.loads(paths["json"].read_text()), paths[name]

    return export


def sums(report, measure, **wanted):
    # What sites held at the device's peak adds up to it; each one's own highest does not.
    key_of_site = "at_peak_bytes" if measure == "peak_bytes" else measure
    return sum(s[key_of_site] for s in report["sites"] if all(s[key] == value for key, value in wanted.items()))


def compartments(report):
    return sorted({(s["layer"], s["device"]) for s in report["sites"]})


# ---- pprof -----------------------------------------------------------------------------------------------------------


def go_pprof(*arguments):
    go = shutil.which("go")
    assert go, "no go command (Debian: apt-get install golang-go)"
    done = subprocess.run([go, "tool", "pprof", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("layer", ["tensor", "cuda"])
def test_pprof_top_agrees_on_bytes(exported, layer):
    report, path = exported("pprof")
    for measure in MEASURES:
        expected = sums(report, measure, layer=layer)
        out = go_pprof("-top", "-unit=B", f"-sample_index={layer}_{measure}", path)
        found = re.search(r"Total samples = (\d+)", out)
        assert (int(found.group(1)) if found else 0) == expected, out[:500]
        assert expected > 0


def test_pprof_shows_tensors_first_and_labels_every_site(exported):
    report, path = exported("pprof")
    expected = sums(report, "live_bytes", layer="tensor")
    assert f"Total samples = {expected}B" in go_pprof("-top", "-unit=B", path)
    raw = go_pprof("-raw", path)
    assert len(re.findall(r"site:\[\d+\]", raw)) == len(report["sites"])
    for device in {s["device"] for s in report["sites"] if s["layer"] == "tensor"}:
        name = "host" if device < 0 else f"cuda:{device}"
        focused = go_pprof("-top", "-unit=B", f"-tagfocus=device={name}", "-sample_index=tensor_live_bytes", path)
        total = sums(report, "live_bytes", layer="tensor", device=device)
        assert f"accounting for {total}B" in focused


def test_pprof_keeps_the_stack(exported):
    report, path = exported("pprof")
    site = next(s for s in report["sites"] if s["layer"] == "tensor" and not s["backward_of"])
    names = [report["frames"][frame]["function"] for frame in site["stack"]]
    traces = go_pprof("-traces", "-sample_index=tensor_live_bytes", path)
    block = next(b for b in traces.split("-----------+") if re.search(rf"site: +{site['id']}\n", b))
    at = 0
    for name in names:  # innermost first
        at = block.index(name.split("\n")[0].strip()[:60], at)


# ---- speedscope ------------------------------------------------------------------------------------------------------

# The part of speedscope's file format that we use, as its documentation describes it.
SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "profiles", "shared"],
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "activeProfileIndex": {"type": "integer"},
        "exporter": {"type": "string"},
        "name": {"type": "string"},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {"name": {"type": "string"}, "file": {"type": "string"}, "line": {"type": "integer"}, "col": {"type": "integer"}},
                    },
                }
            },
        },
        "profiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "samples", "weights"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "sampled"},
                    "name": {"type": "string"},
                    "unit": {"const": "bytes"},
                    "startValue": {"const": 0},
                    "endValue": {"type": "integer"},
                    "samples": {"type": "array", "items": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
                    "weights": {"type": "array", "items": {"type": "integer", "exclusiveMinimum": 0}},
                },
            },
        },
    },
}


def test_speedscope_is_valid_and_its_sums_are_the_reports(exported):
    report, path = exported("speedscope")
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(document, SPEEDSCOPE)
    frames = document["shared"]["frames"]
    by_name = {profile["name"]: profile for profile in document["profiles"]}
    assert len(by_name) == len(document["profiles"])
    for layer, device in compartments(report):
        where = "CUDA host memory" if device < 0 else ("tensors" if layer == "tensor" else "CUDA memory") + f" on cuda:{device}"
        for measure, title in (("live_bytes", "live"), ("allocated_bytes", "allocated in all")):
            expected = sums(report, measure, layer=layer, device=device)
            profile = by_name.get(f"{where}, {title}")
            assert (profile["endValue"] if profile else 0) == expected
            if profile:
                assert sum(profile["weights"]) == expected
                assert all(index < len(frames) for sample in profile["samples"] for index in sample)
    if document["profiles"]:
        assert document["activeProfileIndex"] < len(document["profiles"])


# ---- perfetto --------------------------------------------------------------------------------------------------------


def test_perfetto_is_decoded_by_the_official_classes(exported):
    report, path = exported("perfetto")
    trace = perfetto_trace_pb2.Trace()
    trace.ParseFromString(path.read_bytes())
    assert all(len(UnknownFieldSet(part)) == 0 for part in (trace, *trace.packet))
    packet = next(p for p in trace.packet if p.HasField("profile_packet"))
    interned = packet.interned_data
    strings = {s.iid: s.str for s in interned.function_names}
    mappings = {m.iid for m in interned.mappings}
    frames = {f.iid: f for f in interned.frames}
    stacks = {c.iid: list(c.frame_ids) for c in interned.callstacks}
    for frame in frames.values():
        assert frame.function_name_id in strings and frame.mapping_id in mappings
    found = {}
    for dump in packet.profile_packet.process_dumps:
        assert dump.pid == report["process"]["pid"]
        for sample in dump.samples:
            assert all(frame in frames for frame in stacks[sample.callstack_id])
        found[dump.heap_name] = (
            sum(s.self_allocated - s.self_freed for s in dump.samples),
            sum(s.self_allocated for s in dump.samples),
            sum(s.alloc_count - s.free_count for s in dump.samples),
        )
    for layer, device in compartments(report):
        name = "CUDA host memory" if device < 0 else ("tensors" if layer == "tensor" else "CUDA memory") + f" on cuda:{device}"
        assert found[name] == tuple(sums(report, m, layer=layer, device=device) for m in ("live_bytes", "allocated_bytes", "live_count"))


def test_perfetto_counters_are_the_timeline(exported):
    report, path = exported("perfetto")
    trace = perfetto_trace_pb2.Trace()
    trace.ParseFromString(path.read_bytes())
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")}
    events = [p for p in trace.packet if p.HasField("track_event")]
    assert all(event.track_event.track_uuid in tracks for event in events)
    for layer, device in {(t["layer"], t["device"]) for t in report["timeline"]}:
        points = [t for t in report["timeline"] if (t["layer"], t["device"]) == (layer, device)]
        title = "CUDA host memory" if device < 0 else ("tensors" if layer == "tensor" else "CUDA memory") + f" on cuda:{device}"
        seen = [e for e in events if tracks[e.track_event.track_uuid].name == title + ": live"]
        assert [e.track_event.counter_value for e in seen] == [p["live_bytes"] for p in points]
        assert [e.timestamp for e in seen] == pytest.approx([p["time"] * 1e9 + 1 for p in points], abs=2)
        assert all(tracks[e.track_event.track_uuid].HasField("counter") for e in seen)
    instants = [e.track_event.name for e in events if e.track_event.type == e.track_event.TYPE_INSTANT]
    assert sum("out of memory" in name for name in instants) == len(report["ooms"])


# ---- PyTorch's snapshot ----------------------------------------------------------------------------------------------


def memory_viz(*arguments):
    done = subprocess.run([PYTHON, "-W", "ignore", "-m", "torch.cuda._memory_viz", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def owned_by_torch(report):
    return sums(report, "live_bytes", layer="cuda", owner="torch") - sums(report, "live_bytes", layer="cuda", owner="torch", device=-1)


def test_snapshot_totals_are_the_reports(exported):
    report, path = exported("torch-snapshot", "--max-allocations", "1000000")
    snapshot = pickle.loads(path.read_bytes())
    assert set(snapshot) >= {"segments", "device_traces", "allocator_settings", "external_annotations"}
    live = sum(b["size"] for s in snapshot["segments"] for b in s["blocks"] if b["state"] == "active_allocated")
    assert live == sums(report, "live_bytes", layer="tensor")
    reserved = sum(s["total_size"] for s in snapshot["segments"])
    assert reserved >= live
    for segment in snapshot["segments"]:
        assert sum(b["size"] for b in segment["blocks"]) == segment["total_size"]
        address = segment["address"]
        for block in segment["blocks"]:
            assert block["address"] == address
            address += block["size"]
            assert block["frames"] or block["state"] == "inactive"
    if "transformer" in " ".join(report["process"]["command"]):
        assert reserved == owned_by_torch(report)
        alive = [e for trace in snapshot["device_traces"] for e in trace if e["action"] == "alloc"]
        assert sum(e["size"] for e in alive) == live
        assert any("workloads.py" in f["filename"] for e in alive for f in e["frames"])


def test_memory_viz_reads_the_snapshot(exported, tmp_path):
    report, path = exported("torch-snapshot", "--max-allocations", "1000000")
    stats = memory_viz("stats", path)
    assert "total_allocated" in stats and "total_reserved" in stats
    trace = memory_viz("trace", path)
    live = sum(s["live_count"] for s in report["sites"] if s["layer"] == "tensor")
    assert len(re.findall(r"^\w+ = (?!cudaMalloc)", trace, re.M)) == live
    page = tmp_path / "plot.html"
    memory_viz("trace_plot", path, "-o", page)
    assert page.stat().st_size > path.stat().st_size
    memory_viz("segment_plot", path, "-o", page)
    code = "import pickle, sys; from torch.cuda import _memory_viz as v; s = pickle.load(open(sys.argv[1], 'rb'))\nfor f in (v.memory, v.segments): sys.stdout.write(f(s, format_flamegraph=lambda lines: lines))"
    done = subprocess.run([PYTHON, "-c", code, path], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"active_allocated" in done.stdout


def test_snapshot_at_the_peak_has_the_peaks_bytes(real, vramtrack, tmp_path):
    path = tmp_path / "peak.pickle"
    assert vramtrack("report", real, "--at", "peak", "--format", "torch-snapshot", "-o", path).returncode == 0
    report = json.loads(vramtrack("report", real, "--format", "json").stdout)
    snapshot = pickle.loads(path.read_bytes())
    live = sum(b["size"] for s in snapshot["segments"] for b in s["blocks"] if b["state"] == "active_allocated")
    assert live == sum(t["peak_bytes"] for t in report["totals"] if t["layer"] == "tensor")


SNAPSHOT = """
import sys
import torch
kept = [torch.empty(n << 10, dtype=torch.uint8, device="cuda") for n in (1, 700, 5000, 30000, 100, 2, 3000, 900, 1000, 800, 900)]
del kept[2], kept[3]
with torch.cuda.stream(torch.cuda.Stream()):
    kept.append(torch.empty(9 << 20, dtype=torch.uint8, device="cuda"))
torch.cuda.memory._dump_snapshot(sys.argv[1])
"""


@pytest.mark.parametrize("setting", ["expandable_segments:False", "expandable_segments:True"])
def test_segments_lie_where_pytorchs_own_snapshot_has_them(traced, vramtrack, tmp_path, setting):
    script, theirs, ours = tmp_path / "snapshot.py", tmp_path / "theirs.pickle", tmp_path / "ours.pickle"
    script.write_text(SNAPSHOT)
    done = traced([PYTHON, script, theirs], sim="8GiB", env={"PYTORCH_CUDA_ALLOC_CONF": setting})
    assert done.code == 0, done.stderr
    for source in (next(done.out.glob("*.vtrace")), next(done.out.glob("*.json"))):
        assert vramtrack("report", source, "--format", "torch-snapshot", "-o", ours).returncode == 0
        seen = []
        for path in (theirs, ours):
            segments = pickle.loads(path.read_bytes())["segments"]
            seen.append(sorted((s["address"], s["total_size"], s["allocated_size"], s["segment_type"], s["is_expandable"], [(b["address"], b["size"], b["state"]) for b in s["blocks"]]) for s in segments))
        assert seen[0] == seen[1]


# ---- hostile names ---------------------------------------------------------------------------------------------------


def test_hostile_names_survive_every_format(synthetic, vramtrack, tmp_path):
    def export(name):
        path = tmp_path / f"hostile.{name}"
        done = vramtrack("report", synthetic, "--format", name, "-o", path, "--max-allocations", "1000000")
        assert done.returncode == 0, done.stderr
        return path.read_bytes()

    def shown(c):  # what would hide, ring or turn is escaped where other programs show it
        unsafe = ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u061c\u200b\u200e\u200f\ufeff" or 0x2028 <= ord(c) <= 0x202E or 0x2060 <= ord(c) <= 0x2069
        return (f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}") if unsafe else c

    names = ["".join(map(shown, name)) for name in synthetic_report.HOSTILE]
    speedscope = {f["name"] for f in json.loads(export("speedscope"))["shared"]["frames"]}
    assert set(names) <= speedscope
    trace = perfetto_trace_pb2.Trace()
    trace.ParseFromString(export("perfetto"))
    packet = next(p for p in trace.packet if p.HasField("profile_packet"))
    functions = [s.str.decode() for s in packet.interned_data.function_names]
    assert all(any(f.startswith(name + " (") for f in functions) for name in names)
    snapshot = pickle.loads(export("torch-snapshot"))
    seen = {f["name"] for s in snapshot["segments"] for b in s["blocks"] for f in b["frames"]}
    assert set(names) <= seen
    raw = gzip.decompress(export("pprof"))
    assert all(name.encode() in raw for name in names)
    assert all(re.fullmatch(rb".+ \d+", line) for line in export("folded").split(b"\n")[:-1])
