"""Events without PyTorch, through the preloaded library: what one costs alone, in ns, instructions and cache lines.

bench.py --events starts it; by itself it is the measured process:  events.py LIBRARY time|count|live|threads
"""

import ctypes
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

DEPTHS = [(python, native) for python in (5, 24, 60) for native in (16, 28, 60)]  # the loop itself stands on 16 or so
LIVE = (1000, 100_000, 1_000_000)
THREADS = (1, 2, 4, 8)


class Timing(ctypes.Structure):
    _fields_ = [("events", ctypes.c_int), ("ns", ctypes.c_double)]


def python_frames():
    frame, count = sys._getframe(1), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def at_python_depth(depth, call):
    return at_python_depth(depth - 1, call) if depth > 0 else call()


def at_depth(library, python, native, work, timing):
    """Runs a function of the library on a stack of so many frames; returns (Python frames, native frames) in truth."""
    found = []

    def run():
        base = library.bench_native_frames() - 1  # its own frame is not there when the hook is called
        more = max(0, native - base - 3)
        found.extend((python_frames(), base + 3 + more))
        library.bench_deeper(more, work, ctypes.byref(timing))

    at_python_depth(python - python_frames() - 1 - 2, run)
    return found


def memory_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measured(path, what):
    library = ctypes.CDLL(path)
    library.bench_live.restype = library.bench_threads.restype = ctypes.c_double
    if not library.bench_is_recorded():
        raise SystemExit("error: libvramtrack.so is not preloaded")
    if what == "live":
        return {live: [library.bench_live(live, 200_000, with_work) for with_work in (0, 1)] for live in LIVE}
    if what == "threads":
        return {threads: library.bench_threads(threads, 100_000) for threads in THREADS}
    rows = []
    for python, native in DEPTHS:
        timing = Timing(500 if what == "count" else 20_000, 0)
        work = library.bench_count if what == "count" else library.bench_time
        depth = at_depth(library, python, native, work, timing)
        rows.append({"python": depth[0], "native": depth[1], "events": timing.events, "ns": timing.ns})
    return rows


def run(build, what, *before, **more):
    """One measured process; what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, LD_PRELOAD=str(build / "lib" / "libvramtrack.so"), VRAMTRACK_LAUNCHED="1",
                           VRAMTRACK_OUT=folder, VRAMTRACK_NO_AGENT="1")
        command = [*before, sys.executable, "-I", "-S", __file__, build / "lib" / "libvramtrack_bench_events.so", what]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, **more)
    if done.returncode != 0:
        raise SystemExit(f"error: {what} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def counted(build):
    """Instructions and cache lines of an allocation and a free, by callgrind: figures that repeat."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out")
        rows = run(build, "count", "valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
                   "--cache-sim=yes", "--D1=32768,8,64", f"--callgrind-out-file={out}")
        dumps = []
        for path in pathlib.Path(folder).glob("out.*"):
            text = path.read_text()
            if "Client Request: counted" not in text:
                continue
            names = re.search(r"^events: (.*)$", text, re.M)[1].split()
            values = map(int, re.search(r"^(?:totals|summary): (.*)$", text, re.M)[1].split())
            dumps.append((int(re.search(r"^part: (\d+)$", text, re.M)[1]), dict(zip(names, values))))
    dumps = [figures for _, figures in sorted(dumps, key=lambda dump: dump[0])]
    if len(dumps) != 4 * len(rows):
        raise SystemExit(f"error: callgrind left {len(dumps)} results, not {4 * len(rows)}")
    for i, row in enumerate(rows):
        for j, kind in enumerate(("alloc", "free")):
            warm, swept = dumps[4 * i + j], dumps[4 * i + 2 + j]
            misses = swept.get("D1mr", 0) + swept.get("D1mw", 0)
            row[kind] = {"instructions": warm["Ir"] / row["events"], "lines": misses / row["events"]}
    return rows


def report(build, count):
    result = {"kind": "events", "time": run(build, "time")}
    columns = f"{'Python + native frames':28}{'ns of alloc+free':>18}"
    if count:
        result["count"] = counted(build)
        columns += f"{'instructions':>22}{'cache lines':>18}"
    print("one event of the preloaded library, by itself, caches warm; cache lines: data lines touched\n" + columns)
    for i, row in enumerate(result["time"]):
        line = f"{row['python']:>6} + {row['native']:<19}{row['ns']:>18.0f}"
        if count:
            alloc, free = result["count"][i]["alloc"], result["count"][i]["free"]
            line += f"{alloc['instructions']:>14.0f} + {free['instructions']:<5.0f}{alloc['lines']:>10.0f} + {free['lines']:<5.0f}"
        print(line)
    result["live"] = run(build, "live")
    print("\nfree of a random block and a new one instead: back to back, and with work of the program in between")
    for live, (ns, with_work) in result["live"].items():
        print(f"{int(live):>10,} blocks live {ns:>8.0f} ns {with_work:>8.0f} ns")
    result["threads"] = run(build, "threads")
    print("\nCPU time of one alloc+free in threads at once, on one device")
    for threads, ns in result["threads"].items():
        print(f"{threads:>3} threads {ns:>8.0f} ns")
    return result


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], sys.argv[2])))
