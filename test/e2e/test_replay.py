"""`vramtrack replay`: a recorded history through PyTorch's own allocator under other settings."""

import json


from conftest import PYTHON

FRAGMENTS = """
import torch
kept = []
for step in range(1, 25):
    # Each batch is larger than the last one, so that no segment is large enough for the next; a piece of each stays.
    batch = torch.empty((20 + 4 * step) << 20, dtype=torch.uint8, device="cuda")
    kept.append(torch.empty(2 << 20, dtype=torch.uint8, device="cuda"))
    del batch
    kept.append(torch.empty(2 << 20, dtype=torch.uint8, device="cuda"))
    small = [torch.empty(700 * n, device="cuda") for n in range(1, 9)]
    if step == 20:
        del kept[::2]
        torch.cuda.empty_cache()
print(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
"""


def figures(run):
    assert run.code == 0, run.stderr
    return [int(word) for word in run.stdout.split()]


def nothing_is_missing(report):
    return all("it is not certain what was asked for" in note for note in report["notes"])


def test_a_history_under_its_own_settings_and_under_others(traced, vramtrack):
    recorded = traced(FRAGMENTS, "--history", sim="4GiB")
    live, reserved = figures(recorded)
    expandable = figures(traced(FRAGMENTS, "--no-trace", sim="4GiB",
                                env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}))
    (trace,) = recorded.traces()
    done = vramtrack("replay", trace, "--alloc-conf", "expandable_segments:True", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "vramtrack-replay/1" and nothing_is_missing(report)
    assert report["recorded"] == {"peak_live_bytes": live, "peak_reserved_bytes": reserved, "ooms": 0}
    own, (other,) = report["own"], report["results"]
    assert own["alloc_conf"] == "" and not own["out_of_memory"]
    assert [own["peak_live_bytes"], own["peak_reserved_bytes"]] == [live, reserved]
    assert [other["peak_live_bytes"], other["peak_reserved_bytes"]] == expandable
    assert expandable[1] < reserved and other["oom"] is None
    assert 0 < own["largest_free_bytes"] <= own["reserved_bytes"] - own["live_bytes"]

    # A device that is large enough under one of the two.
    done = vramtrack("replay", trace, f"--sim={(expandable[1] + live) // 2 + (40 << 20)}", "--alloc-conf",
                     "expandable_segments:True")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("own: ", "expandable"))]
    assert len(rows) == 2 and rows[1].endswith("no"), done.stdout


PLACES = """
import torch
side, kept = torch.cuda.Stream(), []
pools = [torch.cuda.MemPool(), torch.cuda.MemPool()]
def pieces(step):
    batch = torch.empty((20 + 4 * step) << 20, dtype=torch.uint8, device="cuda")
    kept.append(torch.empty(2 << 20, dtype=torch.uint8, device="cuda"))
    return [batch] + [torch.empty(512 * n, device="cuda") for n in range(1, 6)]
for step in range(1, 13):
    # What one of them gives back is of no use to another.
    pieces(step)
    with torch.cuda.stream(side):
        pieces(step + 2)
    with torch.cuda.use_mem_pool(pools[step % 2]):
        pieces(step + 1)
    if step == 8:
        torch.cuda.empty_cache()
print(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
"""


def test_streams_and_private_pools(traced, vramtrack):
    recorded = traced(PLACES, "--history", sim="8GiB")
    live, reserved = figures(recorded)
    expandable = figures(traced(PLACES, "--no-trace", sim="8GiB",
                                env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}))
    done = vramtrack("replay", recorded.traces()[0], "--alloc-conf", "expandable_segments:True", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert nothing_is_missing(report)
    own, (other,) = report["own"], report["results"]
    assert [own["peak_live_bytes"], own["peak_reserved_bytes"]] == [live, reserved]
    assert [other["peak_live_bytes"], other["peak_reserved_bytes"]] == expandable


GROWS = """
import torch
# Pieces are reused by what is a little smaller than they are: a block then gets up to 1 MiB more than was asked for.
caches = [torch.empty((3 << 18) + 70000 * n, device="cuda") for n in range(12)]
for token in range(30):
    caches = [torch.cat([cache, cache[:4096]]) for cache in caches]
print(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
"""


def test_what_blocks_were_asked_for(traced, vramtrack):
    recorded = {settings: traced(GROWS, "--history", sim="4GiB", env={"PYTORCH_CUDA_ALLOC_CONF": settings})
                for settings in ("", "expandable_segments:True")}

    def replayed(under, other):
        done = vramtrack("replay", recorded[under].traces()[0], "--alloc-conf", other, "--format", "json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        own, (result,) = report["own"], report["results"]
        assert [own["peak_live_bytes"], own["peak_reserved_bytes"]] == figures(recorded[under])
        return result, report["notes"]

    # Under expandable segments every block has the size that was asked for.
    result, notes = replayed("expandable_segments:True", "")
    assert [result["peak_live_bytes"], result["peak_reserved_bytes"]] == figures(recorded[""]) and notes == []
    # Else it is likely, within bounds.
    result, notes = replayed("", "expandable_segments:True")
    live, reserved = figures(recorded["expandable_segments:True"])
    assert live <= result["peak_live_bytes"] <= figures(recorded[""])[0]
    assert result["peak_reserved_if_least_bytes"] <= reserved <= result["peak_reserved_bytes"]
    if result["peak_reserved_if_least_bytes"] < result["peak_reserved_bytes"]:
        (note,) = notes
        assert "it is not certain what was asked for" in note and "expandable_segments:True is exact" in note


def test_the_out_of_memory_event_happens_again(traced, vramtrack):
    script = "import torch\nkept = [torch.empty(40 << 20, dtype=torch.uint8, device='cuda') for n in range(20)]\n"
    recorded = traced(script, "--history", sim="512MiB")
    assert recorded.code != 0
    done = vramtrack("replay", recorded.traces()[0], "--format", "json", "--alloc-conf", "max_split_size_mb:64")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["recorded"]["ooms"] == 1 and report["own"]["out_of_memory"]
    assert report["own"]["oom"]["requested_bytes"] == 40 << 20
    assert report["own"]["peak_reserved_bytes"] == report["recorded"]["peak_reserved_bytes"]
    assert json.loads(vramtrack("replay", recorded.traces()[0], "--sim=1GiB", "--format", "json").stdout)["own"]["oom"] is None


def test_what_cannot_be_replayed(traced, vramtrack, tmp_path):
    run = traced([PYTHON, "-c", "import torch; torch.empty(1, device='cuda')"])
    (trace,) = run.traces()
    for arguments, code, says in [
        ([trace], 1, "has no history to replay; record one: vramtrack run --history"),
        ([tmp_path / "none.vtrace"], 1, "none.vtrace"),
        ([], 2, "TRACE"),
        ([trace, "--python", "no-python-here"], 1, "has no history"),
        ([trace, "--format", "html"], 2, "--format"),
    ]:
        done = vramtrack("replay", *arguments)
        assert done.returncode == code and done.stdout == ""
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and says in done.stderr
