#!/usr/bin/env python3
"""Writes what follows from contract/options.def: the tables in docs/running.md and the manual page vramtrack-run(1).

    dev/option_docs.py           writes them
    dev/option_docs.py --check   exits with 1 when one is out of date
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "contract" / "options.def"
PAGE = ROOT / "docs" / "running.md"
MANUAL = ROOT / "packaging" / "vramtrack-run.1"
ROW = re.compile(
    r'^OPTION\((?P<type>\w+), (?P<member>\w+), "(?P<names>[^"]*)", "(?P<bare>[^"]*)", "(?P<variable>\w+)",'
    r' (?P<default>[^,]+), (?P<reader>host|tools|both), "(?P<help>[^"]*)"\)$'
)
METAVARIABLES = {"Flag": "", "Size": "SIZE", "SizeOrNone": "SIZE", "Text": "TEXT", "Count": ""}


class Option(NamedTuple):
    type: str
    member: str
    names: str
    bare: str
    variable: str
    default: str
    reader: str
    help: str

    @property
    def value(self):
        """What stands behind the name: ``=SIZE``, ``[=SIZE]``, `` DIR``, or nothing."""
        word = {"out": "DIR", "sim": "SIZE", "sim_world": "N", "sim_rank": "K"}.get(self.member, METAVARIABLES[self.type])
        return "" if not word else f"[={word}]" if self.bare else f" {word}"

    @property
    def written(self):
        return ", ".join(name + self.value for name in self.names.split(","))


def options():
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("OPTION(")]
    found = [ROW.match(row) for row in rows]
    bad = [row for row, match in zip(rows, found) if match is None]
    if bad:
        raise SystemExit(f"{TABLE}: not a row: {bad[0]}")
    return [Option(**match.groupdict()) for match in found]


def table(rows, first):
    lines = [f"| {first}variable | does |", "|--" * (3 if first else 2) + "|"]
    for row in rows:
        name = "| `" + row.written.replace("|", "\\|") + "` " if first else ""
        lines.append(f"{name}| `{row.variable}` | {row.help} |")
    return "\n".join(lines) + "\n"


def page():
    text = PAGE.read_text()
    parts = {
        "options": table([o for o in options() if o.names], "option | "),
        "variables": table([o for o in options() if not o.names], ""),
    }
    for name, made in parts.items():
        start, end = f"<!-- {name}: made by dev/option_docs.py -->\n", f"<!-- end of {name} -->\n"
        before, rest = text.split(start)
        text = before + start + made + end + rest.split(end)[1]
    return text


def roff(text):
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text.replace("\\", "\\e")).replace("-", "\\-")


def manual():
    lines = [
        '.\\" Made by dev/option_docs.py from contract/options.def.',
        ".TH VRAMTRACK\\-RUN 1",
        ".SH NAME",
        "vramtrack\\-run \\- trace a program and report the GPU memory that it leaves alive",
        ".SH SYNOPSIS",
        ".B vramtrack run",
        "[\\fIOPTION\\fR...] [\\fB\\-\\-\\fR] \\fICMD\\fR [\\fIARGS\\fR...]",
        ".SH DESCRIPTION",
        "\\fICMD\\fR runs as it would without vramtrack: same standard streams, same exit code, same signals. At its end a",
        "summary goes to standard error, and the output folder holds a trace and a report of each process that allocated",
        "GPU memory.",
        ".SH OPTIONS",
        "Sizes are written as 65536, 64KiB, 1.5MiB or 10MB. A variable does the same as its option, also with a bare",
        "LD_PRELOAD.",
    ]
    for row in options():
        if row.names:
            written = ", ".join(f"\\fB{roff(n)}\\fR{roff(row.value)}" for n in row.names.split(","))
            lines += [".TP", written, roff(row.help) + f" (\\fB{row.variable}\\fR)"]
    lines.append(".SH ENVIRONMENT")
    for row in options():
        if not row.names:
            lines += [".TP", f".B {row.variable}", roff(row.help)]
    lines += [
        ".SH EXIT STATUS",
        "That of \\fICMD\\fR; 128+N when signal N ended it; 127 when it is not found, 126 when it cannot be executed;",
        "77 with \\fB\\-\\-fail\\-on\\-leak\\fR and a leak; 2 for a usage mistake.",
    ]
    return "\n".join(lines) + "\n"


def main():
    outdated = False
    for path, made in ((PAGE, page()), (MANUAL, manual())):
        if path.exists() and path.read_text() == made:
            continue
        outdated = True
        if sys.argv[1:] != ["--check"]:
            path.write_text(made)
        else:
            print(f"{path.relative_to(ROOT)} is out of date: run dev/option_docs.py", file=sys.stderr)
    return int(outdated and sys.argv[1:] == ["--check"])


if __name__ == "__main__":
    sys.exit(main())
