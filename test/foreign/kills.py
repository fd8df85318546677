#!/usr/bin/env python3
"""Ends a program that allocates and frees without pause at random moments, and compares the trace with its own books.

    test/foreign/kills.py [--kills N] [--threads N] [--history]

The program (test/corpus/host/kill_anywhere.c) keeps its books in a file that outlives it; the ledger, the blocks and the
sites of the trace must agree with them to the one event of each thread that was under way. Prints what does not."""

import argparse
import collections
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time

import hosts

SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGBUS)


def books(log, threads):
    """((least, most) live bytes, (fewest, most) live blocks, events under way) by the program's own file."""
    data, under_way = log.read_bytes(), 0
    sizes, counts = [0, 0], [0, 0]
    for thread in range(threads):
        begun, done, size, count, event_size, event_count = struct.unpack_from("6q", data, 128 * thread)
        under_way += begun > done
        # The books themselves may have stopped between two stores.
        shifts = [(0, 0)] if begun == done else [(a * event_size, b * event_count) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        for extreme, choose in enumerate((min, max)):
            sizes[extreme] += size + choose(s for s, _ in shifts)
            counts[extreme] += count + choose(c for _, c in shifts)
    return sizes, counts, under_way


def compare(log, threads, text):
    """What disagrees between the program's books and the text of its trace, as a list of texts. The one record that each
    thread was writing for an event under way may be there as what it is, not finished."""
    sizes, counts, under_way = books(log, threads)
    wrong = [f"{what}: {size} bytes in {count}, books {sizes} in {counts}" for what, (size, count) in hosts.live(text).items()
             if not (sizes[0] <= size <= sizes[1] and counts[0] <= count <= counts[1])]
    losses = hosts.losses(text)
    losses["torn_records"] = max(0, losses["torn_records"] - under_way)
    return wrong + [f"lost {count} {name}" for name, count in losses.items() if count]


def kill_once(program, folder, number, threads, options):
    """What disagrees, as a list of texts."""
    out, log = folder / f"out{number}", folder / f"log{number}"
    with open(folder / f"said{number}", "w+") as said:
        process = subprocess.Popen([program, log, str(threads)], env={**hosts.preload(out), **options}, stderr=said)
        while not log.exists() or log.stat().st_size < 16 or struct.unpack("qq", log.read_bytes()[:16])[1] == 0:
            time.sleep(0.001)
        time.sleep(random.Random(number).random() ** 3 * 0.2)
        sent = SIGNALS[number % len(SIGNALS)]
        process.send_signal(sent)
        wrong = [] if process.wait() == -sent else [f"it ended with {process.returncode} by signal {sent}"]
        said.seek(0)
        wrong += [f"it said {text!r}" for text in said.read().splitlines()]
    return wrong + compare(log, threads, hosts.dump(out))


def survey(program, folder, kills, threads, options=None):
    """[(number of the kill, what disagreed)]; each kill's files are removed when nothing did."""
    lost = []
    for number in range(kills):
        wrong = kill_once(program, folder, number, threads, options or {})
        lost += [(number, text) for text in wrong]
        if not wrong:
            for path in (*folder.glob(f"out{number}/*"), folder / f"log{number}", folder / f"said{number}"):
                path.unlink()
    return lost


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=1000)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--history", action="store_true", help="with every event kept (VRAMTRACK_HISTORY)")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="vramtrack-kills-") as name:
        folder = pathlib.Path(name)
        program = hosts.build(folder, "kill_anywhere")
        lost = survey(program, folder, asked.kills, asked.threads, {"VRAMTRACK_HISTORY": "1"} if asked.history else {})
    for number, text in lost:
        print(f"kill {number}: {text}")
    survived = asked.kills - len(collections.Counter(number for number, _ in lost))
    print(f"{asked.kills} kills of {asked.threads} threads, {survived} survived")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
