#!/usr/bin/env python3
"""Each C library function that libvramtrack.so calls fails in turn: the first, second, ... call of it, and all of them.

    test/foreign/faults.py [--most N]

The program (test/corpus/host/steady.c) must print the same, end the same and in time whatever failed, and a trace that was
written must be readable. Prints one line for each function, and what did not survive."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import hosts

FUNCTIONS = re.findall(r"^FAILS\([^,]+, (\w+),", (hosts.CORPUS / "failing.c").read_text(), re.M) + ["open", "fcntl", "syscall"]
EXPECTED = (5, "failed 0\nchild 0\n")


def build(folder):
    hosts.build(folder, "steady")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-w", "-o", folder / "failing.so", hosts.CORPUS / "failing.c"], check=True)


def attempt(folder, function, at, options):
    """What went wrong, or "", and how many calls there were."""
    out, counts = folder / "out", folder / "counts"
    subprocess.run(["rm", "-rf", out], check=True)
    env = {**hosts.preload(out, [folder / "failing.so"]), "FAIL_CALL": function, "FAIL_AT": str(at), **options}
    with open(counts, "w") as file:
        env["FAIL_COUNT"] = str(file.fileno())
        try:
            done = subprocess.run([hosts.build(folder, "steady")], env=env, capture_output=True, text=True, timeout=60,
                                  pass_fds=[file.fileno()])
        except subprocess.TimeoutExpired:
            return "no end", 0
    calls = int((counts.read_text().split() or ["0"])[-1])
    if (done.returncode, done.stdout) != EXPECTED:
        return f"exit code {done.returncode}, {done.stdout!r}, {done.stderr!r}", calls
    foreign = [line for line in done.stderr.splitlines() if not line.startswith("vramtrack[")]
    if foreign:
        return f"said {foreign}", calls
    for trace in out.glob("*.vtrace") if out.exists() else ():
        read = subprocess.run([hosts.VRAMTRACK, "dump", trace], capture_output=True, text=True)
        if read.returncode != 0 and trace.stat().st_size > 0:
            return f"unreadable: {read.stderr}", calls
    return "", calls


def survey(most, functions=FUNCTIONS):
    """(tried, [what did not survive])."""
    tried, lost = 0, []
    with tempfile.TemporaryDirectory(prefix="vramtrack-faults-") as name:
        folder = pathlib.Path(name)
        build(folder)
        for function in functions:
            options = {"VRAMTRACK_HISTORY": "1"} if function in ("pthread_create", "syscall") else {}
            _, calls = attempt(folder, function, -1, options)
            for at in range(0, min(calls, most) + 1):
                wrong, _ = attempt(folder, function, at, options)
                tried += 1
                if wrong:
                    lost.append(f"{function}, {'each call' if at == 0 else f'call {at}'}: {wrong}")
    return tried, lost


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--most", type=int, default=200, help="calls of one function that fail in turn")
    arguments.add_argument("functions", nargs="*")
    options = arguments.parse_args()
    tried, lost = survey(options.most, options.functions or FUNCTIONS)
    print("\n".join(lost))
    print(f"{tried} faults, {tried - len(lost)} survived")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
