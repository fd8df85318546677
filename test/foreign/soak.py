#!/usr/bin/env python3
"""Allocates and frees without pause for minutes: no memory of the library grows, and the books do not drift.

    test/foreign/soak.py [--seconds N] [--threads N] [--history]

The program (test/corpus/host/soak.c) says ten times what it uses; what it uses at the end may exceed what it used after
the first three tenths by one part in twenty and 2 MiB (threads remember stacks that they had not seen). With --history
the file of the trace may grow, by what docs/trace-format.md states for an event."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import hosts

SLACK_KIB = 2048
SETTLED = 2  # the report after which everything that is made once has been made


def survey(folder, seconds, threads, options=None):
    """(events, what was wrong as a list of texts)."""
    program = hosts.build(folder, "soak")
    out = folder / "out"
    done = subprocess.run([program, str(seconds), str(threads)], env={**hosts.preload(out), **(options or {})},
                          capture_output=True, text=True, timeout=seconds + 120)
    wrong = [f"it said {line!r}" for line in done.stderr.splitlines()]
    if done.returncode != 0:
        return 0, wrong + [f"it ended with {done.returncode}"]
    reports = [tuple(map(int, re.findall(r"\d+", line))) for line in done.stdout.splitlines()]
    *reports, truth = reports
    for index, name in ((1, "own memory"), (2, "memory of files")):
        early, late = reports[SETTLED][index], reports[-1][index]
        if late > early * 21 // 20 + SLACK_KIB and not (options and index == 2):
            wrong.append(f"{name} grew from {early} to {late} KiB in {reports[-1][0] - reports[SETTLED][0]} events")
    text = hosts.dump(out)
    for what, seen in hosts.live(text).items():
        if seen != truth:
            wrong.append(f"{what}: {seen}, the program's own books {truth}")
    return reports[-1][0], wrong + [f"lost {count} {name}" for name, count in hosts.losses(text).items() if count]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=600)
    arguments.add_argument("--threads", type=int, default=8)
    arguments.add_argument("--history", action="store_true", help="with every event kept (VRAMTRACK_HISTORY)")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="vramtrack-soak-") as name:
        events, wrong = survey(pathlib.Path(name), asked.seconds, asked.threads,
                               {"VRAMTRACK_HISTORY": "1"} if asked.history else {})
    print("\n".join(wrong))
    print(f"{events} events of {asked.threads} threads in {asked.seconds} s: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
