#!/usr/bin/env python3
"""The programs of the findings on a busy machine: the same tests, beside processes that take every core several times.

    test/foreign/busy.py [--load N] [PYTEST ARGUMENT...]

Each of the corpus' guilty programs must get its finding and each repaired one none, as on a quiet machine. Without
arguments test_findings.py and test_field.py run, some 300 programs."""

import argparse
import os
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parent.parent / "e2e"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--load", type=int, default=4 * os.cpu_count(), help="busy processes (four for each core)")
    asked, rest = arguments.parse_known_args()
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(asked.load)]
    try:
        tests = rest or [TESTS / "test_findings.py", TESTS / "test_field.py"]
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tests])
    finally:
        for other in others:
            other.kill()
            other.wait()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
