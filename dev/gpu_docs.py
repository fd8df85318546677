#!/usr/bin/env python3
"""Writes the table of GPUs in docs/fit.md from tools/fit/gpus.def.

    dev/gpu_docs.py           writes it
    dev/gpu_docs.py --check   exits with 1 when it is out of date
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "fit.md"
ROW = re.compile(r'^GPU\("([^"]*)", "([^"]*)", (\d+), (\d+), "([^"]*)"\)$', re.M)
PLACE = re.compile(r"(<!-- gpus: .*? -->\n).*?(<!-- end of gpus -->)", re.S)


def main():
    rows = ["| name | GPU | usable | context | source |", "|--|--|--|--|--|"]
    for name, title, usable, context, source in ROW.findall((ROOT / "tools/fit/gpus.def").read_text()):
        rows.append(f"| `{name}` | {title} | {int(usable) / 1024:.2f} GiB | {context} MiB | {source} |")
    old = PAGE.read_text()
    new = PLACE.sub(lambda place: place[1] + "\n".join(rows) + "\n" + place[2], old)
    if "--check" in sys.argv[1:]:
        return int(new != old)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
