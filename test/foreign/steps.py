#!/usr/bin/env python3
"""Ends a program behind every single instruction of one event, and compares the trace with the program's own books.

    test/foreign/steps.py [--every N] [--history] [WHAT...]

The program (test/corpus/host/one_event.c) is stepped through an allocation at a new or a known place, a free, or both,
by stepper.c, and killed behind the Nth instruction, for each N; the ledger, the blocks and the sites of the trace must then
hold the event as a whole, or nothing of it."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import hosts
import kills

EVENTS = ("known", "free", "move", "new")


# Without a driver every event would look for one, and most of the instructions would be that search.
DRIVER = "int cuCtxGetDevice(int *device) { *device = 0; return 0; }\n"


def programs(folder):
    stepper, driver = folder / "stepper", folder / "libcuda.so.1"
    if not stepper.exists():
        subprocess.run(["cc", "-O1", "-o", stepper, hosts.CORPUS / "stepper.c"], check=True)
        (folder / "driver.c").write_text(DRIVER)
        subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{driver.name}", "-o", driver, folder / "driver.c"],
                       check=True)
    return stepper, hosts.build(folder, "one_event"), driver


def step(folder, event, steps, options):
    """(instructions made, what disagrees, as a list of texts)"""
    stepper, program, driver = programs(folder)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out, log = pathlib.Path(name) / "out", pathlib.Path(name) / "log"
        environment = {**hosts.preload(out, [driver]), **options}
        done = subprocess.run([stepper, environment.pop("LD_PRELOAD"), str(steps), program, log, event], env=environment,
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            return 0, [f"the stepper ended with {done.returncode}: {done.stderr}"]
        wrong = [f"it said {line!r}" for line in done.stderr.splitlines()]
        sizes, counts = kills.books(log, 1)
        text = hosts.dump(out)
    for what, (size, count) in hosts.live(text).items():
        if not (sizes[0] <= size <= sizes[1] and counts[0] <= count <= counts[1]):
            wrong.append(f"{what}: {size} bytes in {count}, books {sizes} in {counts}")
    return int(done.stdout), wrong + [f"lost {count} {name}" for name, count in hosts.losses(text).items() if count]


def survey(folder, event, every=1, options=None):
    """(kills, [(instruction, what disagreed)])"""
    options = options or {}
    length, wrong = step(folder, event, 1 << 40, options)
    lost = [(length, text) for text in wrong]
    places = range(0, length, every)
    for place in places:
        lost += [(place, text) for text in step(folder, event, place, options)[1]]
    return len(places) + 1, lost


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--every", type=int, default=1, help="not behind every instruction, but every so many")
    arguments.add_argument("--history", action="store_true", help="with every event kept (VRAMTRACK_HISTORY)")
    arguments.add_argument("events", nargs="*", metavar="WHAT", help=f"of {', '.join(EVENTS)}; all unless given")
    asked = arguments.parse_args()
    options = {"VRAMTRACK_HISTORY": "1"} if asked.history else {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="vramtrack-steps-") as name:
        for event in asked.events or EVENTS:
            kills_made, lost = survey(pathlib.Path(name), event, asked.every, options)
            for place, text in lost:
                print(f"{event}, instruction {place}: {text}")
            print(f"{event}: {kills_made} kills, {kills_made - len({place for place, _ in lost})} survived", flush=True)
            failed += bool(lost)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
