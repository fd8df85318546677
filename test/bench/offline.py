"""What the tools cost after the program's end: reading, analysing, writing, symbols, the live view.

    offline.py [--rounds N] [--big] [--case NAME ...] [--json FILE]

Makes synthetic traces (vramtrack_make_trace) in a temporary folder and runs the tools on them. Times are the medians of
the rounds; peak memory and output are the largest. `cpu` tells what a quiet machine would need: on a busy one the wall
clock shows the neighbours, too. --big adds 100,000,000 events (a few hundred MB on disk, some minutes).
VRAMTRACK_BUILD names the build folder (default: build). Run it with the Python that has PyTorch: its libraries are the
ones whose symbols are read.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", HERE.parents[1] / "build"))
VRAMTRACK = BUILD / "bin" / "vramtrack"
MAKE_TRACE = BUILD / "bin" / "vramtrack_make_trace"

TRACES = {
    "events": ["--events", "1000000", "--sites", "5000", "--live", "10000"],
    "many": ["--events", "100000000", "--sites", "5000", "--live", "10000", "--steps", "2000"],
    "live": ["--sites", "10000", "--live", "1000000"],
    "ooms": ["--sites", "400", "--live", "1000000", "--ooms", "1"],
    "torch": ["--sites", "1000"],  # and --library for each of PyTorch's
}

# name, trace, arguments, how the cache is used, goals: seconds, MB of memory, MB of output
CASES = [
    ("1,000,000 events, json", "events", ["report", "--format", "json"], "off", 0.5, 300, None),
    ("1,000,000 events, html", "events", ["report", "--format", "html"], "off", 3, 300, 6),
    ("1,000,000 live blocks, json", "live", ["report", "--format", "json"], "off", 1, None, None),
    ("1,000,000 live blocks, text", "live", ["report", "--format", "text"], "off", 1, None, None),
    ("1,000,000 live blocks, top", "live", ["top", "--once"], "off", None, None, None),
    ("1,000,000 live blocks at OOM, json", "ooms", ["report", "--format", "json", "--at", "oom"], "off", 1, None, None),
    ("PyTorch's symbols, files not in memory", "torch", ["report", "--format", "json"], "cold", 2, None, None),
    ("PyTorch's symbols, files in memory", "torch", ["report", "--format", "json"], "off", 2, None, None),
    ("PyTorch's symbols, cached", "torch", ["report", "--format", "json"], "warm", None, None, None),
]
BIG_CASES = [
    ("100,000,000 events, json", "many", ["report", "--format", "json"], "off", 30, 1000, None),
    ("100,000,000 events, html", "many", ["report", "--format", "html"], "off", 30, 1000, 6),
]


def torch_libraries():
    spec = importlib.util.find_spec("torch")
    if spec is None:
        raise SystemExit("error: this Python has no PyTorch; run offline.py with one that has")
    folder = pathlib.Path(spec.origin).parent / "lib"
    return [folder / f"lib{name}.so" for name in ("torch_cpu", "torch_cuda", "torch_python", "c10", "c10_cuda")]


def forget(files):
    """Lets the system drop the files from its page cache, as if nobody had used them for long."""
    for name in files:
        with open(name, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_once(command, environment, output):
    begin = time.monotonic()
    with open(output, "wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with {process.returncode}")
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
        "output": output.stat().st_size,
    }


def measure(case, trace, rounds, folder):
    name, _, arguments, cache, *goals = case
    environment = dict(os.environ, VRAMTRACK_CACHE="off")
    if cache == "warm":
        del environment["VRAMTRACK_CACHE"]
        environment["XDG_CACHE_HOME"] = str(folder / "cache")
    command = [VRAMTRACK, arguments[0], trace, *arguments[1:]]
    if cache == "warm":
        run_once(command, environment, folder / "output")
    runs = []
    for _ in range(rounds):
        if cache == "cold":
            forget(torch_libraries())
        runs.append(run_once(command, environment, folder / "output"))
    result = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu")}
    result |= {key: max(run[key] for run in runs) for key in ("memory", "output")}
    return {"case": name, **result, "goals": dict(zip(("seconds", "memory_mb", "output_mb"), goals))}


def row(result):
    def cell(value, goal, digits):
        text = f"{value:,.{digits}f}"
        return text if goal is None else f"{text} (<= {goal:g})"

    goals = result["goals"]
    cells = [
        cell(result["seconds"], goals["seconds"], 2),
        f"{result['cpu']:.2f}",
        cell(result["memory"] / 1e6, goals["memory_mb"], 0),
        cell(result["output"] / 1e6, goals["output_mb"], 2),
    ]
    return f"{result['case']:40}" + "".join(f"{text:>16}" for text in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--big", action="store_true", help="also 100,000,000 events")
    parser.add_argument("--case", action="append", help="only cases whose name contains this")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    arguments = parser.parse_args()
    cases = CASES + (BIG_CASES if arguments.big else [])
    if arguments.case:
        cases = [case for case in cases if any(part in case[0] for part in arguments.case)]
    results = []
    print(f"{'':40}" + "".join(f"{text:>16}" for text in ("seconds", "cpu", "memory MB", "output MB")))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for case in cases:
            trace = folder / f"{case[1]}.vtrace"
            if not trace.exists():
                command = [MAKE_TRACE, trace, *TRACES[case[1]]]
                if case[1] == "torch":
                    for library in torch_libraries():
                        command += ["--library", library]
                subprocess.run(list(map(str, command)), check=True)
            rounds = 1 if case in BIG_CASES else arguments.rounds
            results.append(measure(case, trace, rounds, folder))
            print(row(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"kind": "offline", "rounds": arguments.rounds, "results": results}))


if __name__ == "__main__":
    sys.exit(main())
