#!/usr/bin/env python3
"""What recording costs, on and off in turns within one process: memory layout, clock rate and neighbours are the same for
both, which processes side by side are not.

    ab.py [--workload NAME ...] [--seconds S] [--gpu] [--json FILE]
    ab.py --null [--delay PERCENT]    recording stays off in both; a delay shows what difference can be told
    ab.py --parts                     what each part of recording costs; needs a tree of -DVRAMTRACK_BENCH_PARTS=ON

Recording is switched in the trace, as `vramtrack start` and `stop` do it. Blocks of a few milliseconds alternate in random
order; each pair gives one ratio. Printed are the median of all ratios and its interval of 95 % (from the order statistics,
so that a pair that a neighbour disturbed counts no more than another). VRAMTRACK_BUILD names the build folder; run it with
the Python that has PyTorch."""

import argparse
import ctypes
import json
import math
import mmap
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", HERE.parents[1] / "build")).resolve()
EVENTS = BUILD / "lib" / "libvramtrack_bench_events.so"
STEPS = ["step of an MLP", "step of a CNN", "step of an LSTM", "step of a Transformer"]
OFF_NOW, WAS_OFF = 1, 2  # contract/dormant.hpp
PARTS_FILE = HERE.parents[1] / "interpose" / "trace" / "parts.hpp"
BLOCK = 0.008  # seconds: longer than a time slice is disturbed, shorter than a millisecond is not settled


class Switch:
    """The word of this process's own trace that says whether events are recorded."""

    def __init__(self, folder):
        [trace] = pathlib.Path(folder).glob(f"vramtrack-*{os.getpid()}*.vtrace")
        offset_of = ctypes.CDLL(str(EVENTS)).bench_offset_of_switch
        offset_of.restype = ctypes.c_uint64
        with open(trace, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.word = ctypes.c_uint32.from_buffer(self.page, offset_of())

    def turn(self, off):
        self.word.value = WAS_OFF | off


def parts():
    """{name: bit of the switch}, as the library has them."""
    found = re.findall(r"^  (\w+) = 1 << (\d+),", PARTS_FILE.read_text(), re.M)
    assert found, f"{PARTS_FILE} lists no parts"
    return {name: 1 << int(bit) for name, bit in found}


def alternate(switch, asked, work, prepare, off):
    """(ratios on / off, one a pair of blocks; seconds of a `work` when off). `off`: the bits that switch it off."""
    clock = time.perf_counter if asked.clock == "wall" else time.process_time

    def block(on, count):
        switch.turn(0 if on and not asked.null else off)
        prepare()
        work()  # what the switch itself costs is no part of it
        spent = 0.0
        for _ in range(count):
            prepare()
            start = clock()
            work()
            spent += clock() - start
        return spent / count * (1 + asked.delay / 100 if on else 1)

    count = max(1, round(BLOCK / max(block(True, 20), 1e-9)))
    ratios, base, end = [], [], time.monotonic() + asked.seconds
    while time.monotonic() < end:
        order = random.sample((True, False), 2)
        times = {on: block(on, count) for on in order}
        ratios.append(times[True] / times[False])
        base.append(times[False])
    switch.turn(0)
    return ratios, statistics.median(base)


def interval(values):
    """(low, median, high): the median and its interval of 95 %."""
    ordered = sorted(values)
    reach = 0.98 * math.sqrt(len(ordered))  # 1.96 standard deviations of a sign test
    middle = len(ordered) / 2
    return ordered[max(0, int(middle - reach))], statistics.median(ordered), ordered[min(len(ordered) - 1, int(middle + reach))]


def worker(asked):
    sys.path.insert(0, str(HERE))
    import gc

    import torch
    import work

    torch.set_num_threads(1)
    torch.empty(1, device="cuda")
    switch = Switch(os.environ["VRAMTRACK_OUT"])
    gc.collect()
    gc.freeze()
    gc.disable()
    for name in asked.workload or STEPS:
        def turns(unit, count, loop, prepare=lambda: None):
            per_second = (1e9 if unit == "ns" else 1e6) / count
            for part, off in {"": OFF_NOW, **(parts() if asked.parts else {})}.items():
                ratios, base = alternate(switch, asked, loop, prepare, off)
                figures = {"workload": name, "part": part, "unit": unit, "off": base * per_second, "ratios": ratios}
                print(json.dumps(figures), flush=True)

        work.take_turns, work.say = turns, lambda figures: None
        work.WORKLOADS[name]()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", help="of work.py; default: " + ", ".join(STEPS))
    parser.add_argument("--seconds", type=float, default=20, help="for each workload")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: of all threads, for a busy machine")
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--parts", action="store_true", help="each part alone, too")
    parser.add_argument("--delay", type=float, default=0, metavar="PERCENT")
    parser.add_argument("--gpu", action="store_true", help="on this machine's GPU, not the simulated one")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        return worker(asked)
    results = []
    with tempfile.TemporaryDirectory(prefix="vramtrack-ab-") as folder:
        command = [BUILD / "bin" / "vramtrack", "run", *([] if asked.gpu else ["--sim"]), "--quiet", "-o", folder, "--",
                   sys.executable, __file__, "--worker", *sys.argv[1:]]
        # Kernels compute nothing: what a step costs is the host's part of it.
        environment = {**os.environ, "VRAMTRACK_SIM_VALUES": "0", "VRAMTRACK_BENCH_EVENTS": str(EVENTS)}
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=environment)
        for line in process.stdout:
            figures = json.loads(line)
            low, middle, high = interval(figures["ratios"])
            what = f"  {figures['part']}" if figures["part"] else figures["workload"]
            cost = figures["off"] * (middle - 1)
            print(f"{what:40} {figures['off']:9.1f} {figures['unit']}  {cost:+8.1f}  {100 * (middle - 1):+6.2f} %"
                  f"  ({100 * (low - 1):+.2f} to {100 * (high - 1):+.2f}, {len(figures['ratios'])} pairs)", flush=True)
            results.append(figures)
        if process.wait() != 0:
            raise SystemExit(f"error: the process ended with {process.returncode}")
    if asked.json:
        asked.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    sys.exit(main())
