"""What recording costs: the untraced program, vramtrack, and PyTorch's own recorder, on the simulated GPU or a real one.

    bench.py [--json FILE]      all of it, in about eight minutes: the three below
    bench.py --cost [--generations N] [--seconds S] [--clock best|wall|cpu] [--workload NAME ...] [--configuration NAME ...] [--gpu]
    bench.py --startup          importing torch, and a Python program without CUDA
    bench.py --events           one event of the preloaded library alone: ns, instructions (by callgrind), cache lines
    bench.py --profile          where the nanoseconds of one event go
    bench.py --shares           how much of a training step is spent in the library, by sampling (perf)

Each configuration is a process of its own; they take turns of a few milliseconds, in random order within each round. What
is added is worked out within a round, so that a slow spell of the machine falls on all of them; the figures are medians
over some hundred rounds, with their quartiles. A turn's figure is the least of its twelve repeats (--clock).
VRAMTRACK_BUILD names the build folder (default: build). Run it with the Python that has PyTorch.
"""

import argparse
import ctypes
import datetime
import functools
import json
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import events
import shares

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", HERE.parents[1] / "build"))
VRAMTRACK = BUILD / "bin" / "vramtrack"

CONFIGURATIONS = {
    "untraced": (["--no-trace"], "none"),
    "vramtrack": ([], "none"),
    "torch recorder, python": (["--no-trace"], "python"),
    "torch recorder, all": (["--no-trace"], "all"),
    # Only when asked for:
    "vramtrack, no agent": (["--no-agent"], "none"),
    "vramtrack, Python stacks only": (["--no-agent", "--no-native"], "none"),
}


def workload_names():
    source = (HERE / "work.py").read_text()
    table = source[source.index("WORKLOADS = {") : source.index("def main")]
    return [line.split('"')[1] for line in table.splitlines() if line.startswith('    "')]


class Worker:
    """A process of one configuration that works when it is its turn."""

    def __init__(self, configuration, names, folder, gpu):
        options, recorder = CONFIGURATIONS[configuration]
        command = [sys.executable, HERE / "work.py", recorder, *names]
        if not gpu or "--no-trace" not in options:
            sim = [] if gpu else ["--sim"]
            command = [VRAMTRACK, "run", *sim, "--quiet", "-o", folder, *options, "--", *command]
        # Simulated kernels compute nothing here: what a step costs is the host's part of it.
        environment = dict(os.environ, VRAMTRACK_SIM_VALUES="0",
                           VRAMTRACK_BENCH_EVENTS=str(BUILD / "lib" / "libvramtrack_bench_events.so"))
        self.configuration = configuration
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: {self.configuration} ended with {self.process.wait()}")
        return json.loads(line)

    def turn(self):
        self.tell("turn")
        return self.hear()

    def work_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def end(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise SystemExit(f"error: {self.configuration} ended with {self.process.returncode}")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def measure(arguments):
    names = arguments.workload or workload_names()
    chosen = arguments.configuration or list(CONFIGURATIONS)[:4]
    configurations = ["untraced", *(each for each in chosen if each != "untraced")]
    clock = arguments.clock
    report = {"kind": "cost", "clock": clock, "gpu": gpu_name() if arguments.gpu else "simulated", **machine(), "workloads": {name: [] for name in names}, "summary": {}}
    # Where a process's memory happens to lie makes a difference of its own, so there are several of each.
    for generation in range(arguments.generations):
        with tempfile.TemporaryDirectory() as folder:
            workers = [Worker(each, names, os.path.join(folder, str(i)), arguments.gpu) for i, each in enumerate(configurations)]
            for name in names:
                report["summary"][name] = [worker.hear() for worker in workers][0]
                rounds, end = [], time.monotonic() + arguments.seconds
                while len(rounds) < 5 or time.monotonic() < end:
                    rounds.append({w.configuration: w.turn() for w in random.sample(workers, len(workers))})
                for worker in workers:
                    worker.tell("next")
                report["workloads"][name] += rounds
            for worker in workers:
                worker.end()
        print(f"generation {generation + 1} of {arguments.generations} is done", file=sys.stderr, flush=True)
    for name in names:
        about, rounds = report["summary"][name], report["workloads"][name]
        report["summary"][name] = summary(name, about, rounds, configurations, clock)
    return report


def summary(name, about, rounds, configurations, clock):
    """Prints what each configuration adds, round by round."""
    unit, per = about["unit"], about["allocations"]
    took = {each: [r[each][clock] for r in rounds] for each in configurations}
    added = {each: [t - u for t, u in zip(took[each], took["untraced"])] for each in configurations}
    base = quartiles(took["untraced"])
    print(f"\n{name}: {per} allocations; untraced {base[1]:.0f} {unit} ({base[0]:.0f} to {base[2]:.0f}); {len(rounds)} rounds")
    print(f"  {'':32}{'added ' + unit:>10}  {'quartiles':>18}{'ns an alloc':>13}{'% slower':>24}")
    rows = {}
    for each in configurations[1:]:
        low, middle, high = quartiles(added[each])
        ratio = quartiles([t / u for t, u in zip(took[each], took["untraced"])])
        ns = middle * (1000 if unit == "us" else 1) / per
        rows[each] = {"added": (low, middle, high), "ratio": ratio, "ns_per_allocation": ns}
        slower = f"{(ratio[1] - 1) * 100:.1f} ({(ratio[0] - 1) * 100:.1f} to {(ratio[2] - 1) * 100:.1f})"
        print(f"  {each:32}{middle:>10.0f}  {f'{low:.0f} to {high:.0f}':>18}{ns:>13.0f} {slower:>23}")
    for each in configurations[1:]:
        if "torch" not in each or rows.get("vramtrack", {"added": (0, 0)})["added"][1] <= 0:
            continue
        # Of the medians, and round by round: how far that can be trusted.
        factor = rows[each]["added"][1] / rows["vramtrack"]["added"][1]
        low, _, high = quartiles([t / o for t, o in zip(added[each], added["vramtrack"]) if o > 0] or [factor])
        rows[each]["times_ours"] = (low, factor, high)
        print(f"  vramtrack adds 1/{factor:.1f} of what the {each} adds (1/{low:.1f} to 1/{high:.1f})")
    return {"unit": unit, "allocations": per, "rounds": len(rounds), "untraced": base, "configurations": rows}


STARTUPS = {
    "import torch": ("import torch", 1),
    "Python without CUDA": ("import json", 10),  # too short to be measured once
}


def startup(arguments):
    """Wall time of whole processes with and without the library, alternating in random order."""
    environments = {"untraced": {}, "preloaded": {"LD_PRELOAD": str(BUILD / "lib" / "libvramtrack.so")}}
    report = {"kind": "startup", **machine(), "programs": {}}
    print("\nstart-up: whole processes that record nothing")
    for name, (source, times) in STARTUPS.items():
        took = {which: [] for which in environments}
        for _ in range(arguments.startup_rounds + 1):
            for which in random.sample(list(environments), len(environments)):
                start = time.perf_counter()
                for _ in range(times):
                    environment = {**os.environ, **environments[which]}
                    subprocess.run([sys.executable, "-c", source], check=True, env=environment)
                took[which].append((time.perf_counter() - start) * 1000 / times)
        plain, preloaded = (took[which][1:] for which in environments)  # the first fills the page cache
        added = quartiles([b - a for a, b in zip(plain, preloaded)])
        base = statistics.median(plain)
        report["programs"][name] = {"untraced_ms": base, "added_ms": added, "least_ms": [min(plain), min(preloaded)]}
        print(
            f"  {name:22} {base:8.1f} ms, preloaded {added[1]:+.2f} ms ({added[0]:+.2f} to {added[2]:+.2f}), "
            f"{added[1] / base * 100:+.1f} %; least {min(plain):.1f} and {min(preloaded):.1f} ms"
        )
    return report


def sample_shares(arguments):
    names = arguments.workload or [name for name in workload_names() if name.startswith("step of")]
    with tempfile.TemporaryDirectory() as folder:
        start = functools.partial(Worker, "vramtrack", folder=folder, gpu=arguments.gpu)
        return {**machine(), **shares.report(lambda chosen: start(names=chosen), names, arguments.seconds)}


def at_depth(python, reentries, call):
    if python > 0:
        return at_depth(python - 1, reentries, call)
    if reentries > 0:
        return functools.partial(at_depth, 0, reentries - 1, call)()
    return call()


def profile(arguments):
    """Each part of an event by itself, called from this process at several depths."""
    library = ctypes.CDLL(str(BUILD / "lib" / "libvramtrack_bench_profile.so"))
    library.bench_parts.restype = ctypes.c_char_p
    library.bench_threads.restype = ctypes.c_double
    parts = library.bench_parts().decode().split(",")
    report = {"kind": "profile", **machine(), "depths": []}
    with tempfile.TemporaryDirectory() as folder:
        if library.bench_start(os.fsencode(os.path.join(folder, "profile.vtrace"))) != 0:
            raise SystemExit("error: the profile's trace cannot be written")
        columns = []
        for python, reentries in ((0, 0), (17, 3), (50, 10)):
            for cold in (0, 1):
                ns, frames = (ctypes.c_double * 16)(), (ctypes.c_int * 2)()
                failed = at_depth(python, reentries, lambda: library.bench_profile(arguments.repeats, cold, ns, frames))
                if failed:
                    raise SystemExit("error: nothing could be captured")
                columns.append((frames[0], frames[1], "cold" if cold else "hot", list(ns)))
        print("mean ns of one call of each part, caches warm (hot) or swept with 1 MB in between (cold)")
        print(f"{'Python + native frames':28}" + "".join(f"{f'{p} + {n}':>10}" for p, n, _, _ in columns))
        print(f"{'':28}" + "".join(f"{c:>10}" for _, _, c, _ in columns))
        for i, part in enumerate(parts):
            print(f"{part:28}" + "".join(f"{ns[i]:>10.1f}" for *_, ns in columns))
        for python, native, cache, ns in columns:
            report["depths"].append({"python": python, "native": native, "caches": cache, "ns": dict(zip(parts, ns))})
        print("\ncapture + add + remove in threads at once, CPU time of an event in ns")
        report["threads"] = {}
        for threads in (1, 2, 4, 8):
            report["threads"][threads] = library.bench_threads(threads, arguments.repeats * 4)
            print(f"{threads:>3} threads {report['threads'][threads]:>8.1f}")
    return report


def goals(reports):
    """The figures that the project set itself, next to what this run found."""
    rows = []
    for report in reports:
        if report["kind"] == "cost":
            loop = report["summary"].get("alloc, 24 Python + 28 native frames", {}).get("configurations", {})
            step = report["summary"].get("step of a Transformer", {}).get("configurations", {})
            if "vramtrack" in loop:
                rows.append(("alloc+free, 24 Python + 28 native frames", "<= 100 ns", f"{loop['vramtrack']['added'][1]:.0f} ns"))
            for other, goal in (("torch recorder, python", 12), ("torch recorder, all", 20)):
                if "times_ours" in loop.get(other, {}):
                    rows.append((f"  of the {other}", f"<= 1/{goal}", f"1/{loop[other]['times_ours'][1]:.1f}"))
            if "vramtrack" in step:
                rows.append(("step of a Transformer", "<= 2 %", f"{(step['vramtrack']['ratio'][1] - 1) * 100:.1f} %"))
            if "times_ours" in step.get("torch recorder, all", {}):
                rows.append(("  of the torch recorder, all", "<= 1/15", f"1/{step['torch recorder, all']['times_ours'][1]:.1f}"))
        if report["kind"] == "events":
            threads, live = report["threads"], report["live"]
            rows.append(("8 threads against 1, an event's CPU time", "<= 1.5", f"{threads['8'] / threads['1']:.2f}"))
            back_to_back, with_work = (live["1000000"][i] / live["1000"][i] for i in (0, 1))
            found = f"{back_to_back:.1f}, {with_work:.1f} with work in between"
            rows.append(("1,000,000 live blocks against 1,000", "<= 2", found))
        if report["kind"] == "startup":
            torch, plain = (report["programs"][name] for name in STARTUPS)
            rows.append(("importing torch", "<= 3 %", f"{torch['added_ms'][1] / torch['untraced_ms'] * 100:.1f} %"))
            rows.append(("a program without CUDA", "<= 5 ms", f"{plain['added_ms'][1]:.2f} ms"))
    if rows:
        print("\ngoals")
    for what, goal, found in rows:
        print(f"  {what:44}{goal:>10}   {found}")


def gpu_name():
    import torch

    return torch.cuda.get_device_name()


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
    }


def single_events(_):
    return {**machine(), **events.report(BUILD, count=shutil.which("valgrind") is not None)}


MODES = {"cost": measure, "startup": startup, "events": single_events, "profile": profile, "shares": sample_shares}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for mode in MODES:
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("--generations", type=int, default=4, help="processes of each configuration, one after the other")
    parser.add_argument("--seconds", type=float, default=3, help="for each workload in a generation")
    parser.add_argument("--clock", choices=["best", "wall", "cpu"], default="best", help="least time of a turn, median, CPU time")
    parser.add_argument("--workload", action="append", choices=workload_names())
    parser.add_argument("--configuration", action="append", choices=list(CONFIGURATIONS))
    parser.add_argument("--gpu", action="store_true", help="measure --cost on this machine's GPU, not the simulated one")
    parser.add_argument("--startup-rounds", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=20000, help="of each part of an event in --profile")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    chosen = [mode for mode in MODES if getattr(arguments, mode)]
    reports = [MODES[mode](arguments) for mode in chosen or ("startup", "events", "cost")]
    goals(reports)
    if arguments.json:
        arguments.json.write_text(json.dumps(reports, indent=1) + "\n")


if __name__ == "__main__":
    main()
