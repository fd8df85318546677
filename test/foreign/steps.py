#!/usr/bin/env python3
"""Ends a program behind every single instruction of one event, and compares the trace with the program's own books.

    test/foreign/steps.py [--every N | --states] [--history] [WHAT...]

The program (test/corpus/host/one_event.c) is stepped through an allocation at a new or a known place, a free, or both,
by stepper.c, and killed behind the Nth instruction, for each N; the ledger, the blocks and the sites of the trace must then
hold the event as a whole, or nothing of it.

Of most instructions a kill leaves the same files as of the one before. With --states the program is stepped through its
event once and not killed: what each instruction leaves in the trace and in the program's books is kept where it is another
than before, and is then compared in the same way. That is every instruction, in minutes instead of hours."""

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


def walk(folder, event, steps, options):
    """(instructions made, what was said): the program's books are then in folder/log, its trace in folder/out."""
    stepper, program, driver = programs(folder.parent)
    environment = {**hosts.preload(folder / "out", [driver]), **options}
    done = subprocess.run([stepper, environment.pop("LD_PRELOAD"), str(steps), program, folder / "log", event], env=environment,
                          capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        return 0, [f"the stepper ended with {done.returncode}: {done.stderr}"]
    return int(done.stdout), [f"it said {line!r}" for line in done.stderr.splitlines()]


def step(folder, event, steps, options):
    """(instructions made, what disagrees, as a list of texts)"""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        made, wrong = walk(pathlib.Path(name), event, steps, options)
        return made, wrong + (kills.compare(pathlib.Path(name) / "log", 1, hosts.dump(pathlib.Path(name) / "out")) if made else [])


def states(folder, event, options=None):
    """(instructions, states that they left, [(instruction, what disagreed)])"""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        kept = pathlib.Path(name) / "kept"
        kept.mkdir()
        made, said = walk(pathlib.Path(name), event, kept, options or {})
        lost = [(made, text) for text in said]
        places = sorted(int(path.stem) for path in kept.glob("*.log"))
        for place in places:
            out = kept / str(place)
            out.mkdir()
            (kept / f"{place}.vtrace").rename(out / "one.vtrace")
            lost += [(place, text) for text in kills.compare(kept / f"{place}.log", 1, hosts.dump(out))]
            (out / "one.vtrace").unlink()
    return made, len(places), lost


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
    arguments.add_argument("--states", action="store_true", help="every instruction, by what it leaves in the files")
    arguments.add_argument("--history", action="store_true", help="with every event kept (VRAMTRACK_HISTORY)")
    arguments.add_argument("events", nargs="*", metavar="WHAT", help=f"of {', '.join(EVENTS)}; all unless given")
    asked = arguments.parse_args()
    options = {"VRAMTRACK_HISTORY": "1"} if asked.history else {}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="vramtrack-steps-") as name:
        for event in asked.events or EVENTS:
            if asked.states:
                made, tried, lost = states(pathlib.Path(name), event, options)
                what = f"{made} instructions left {tried} states"
            else:
                tried, lost = survey(pathlib.Path(name), event, asked.every, options)
                what = f"{tried} kills"
            for place, text in lost:
                print(f"{event}, instruction {place}: {text}")
            print(f"{event}: {what}, {tried - len({place for place, _ in lost})} survived", flush=True)
            failed += bool(lost)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
