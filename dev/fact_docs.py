#!/usr/bin/env python3
"""Writes what follows from contract/facts.def: the tables of notes and of their fields in docs/trace-format.md.

dev/fact_docs.py           writes them
dev/fact_docs.py --check   exits with 1 when they are out of date
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "contract" / "facts.def"
PAGE = ROOT / "docs" / "trace-format.md"
FACT = re.compile(r'^FACT\((\w+), "([^"]+)", (text|map|list|rows), "([^"]*)", "([^"]*)"\)$')
FIELD = re.compile(r'^FACT_FIELD\((\w+), (\d+), (\w+), (number|text|flag|numbers|texts|part|parts|rows), "([^"]*)"\)$')
PART = re.compile("`([^`]+)`")


class Fact(NamedTuple):
    name: str
    key: str
    form: str
    when: str
    what: str


class Field(NamedTuple):
    fact: str
    position: int
    name: str
    type: str
    what: str


def rows():
    """The facts and the fields of the table, in its order."""
    facts, fields = [], []
    for line in TABLE.read_text().splitlines():
        if not line.startswith("FACT"):
            continue
        fact, field = FACT.match(line), FIELD.match(line)
        if fact:
            facts.append(Fact(*fact.groups()))
        elif field:
            of, position, *rest = field.groups()
            fields.append(Field(of, int(position), *rest))
        else:
            raise SystemExit(f"{TABLE}: not a row: {line}")
    for name in {field.fact for field in fields}:
        positions = [field.position for field in fields if field.fact == name]
        if positions != list(range(len(positions))):
            raise SystemExit(f"{TABLE}: the positions of {name} are not 0, 1, 2, ...: {positions}")
    return facts, fields


def page():
    facts, fields = rows()
    notes = ["| key | form | written | value |", "|--|--|--|--|"]
    notes += [f"| `{fact.key}` | {fact.form} | {fact.when} | {fact.what} |" for fact in facts]
    listed = ["| fact | field | type | what |", "|--|--|--|--|"]
    keys = {fact.name: fact.key for fact in facts}
    by_position = {fact.name for fact in facts if fact.form == "rows"}
    by_position |= {PART.search(field.what)[1] for field in fields if field.type == "rows"}
    for field in fields:
        key = keys.get(field.fact, field.fact)
        name = f"{field.position}: `{field.name}`" if field.fact in by_position else f"`{field.name}`"
        listed.append(f"| `{key}` | {name} | {field.type} | {field.what} |")
    text = PAGE.read_text()
    for part, made in (("notes", notes), ("fields", listed)):
        start, end = f"<!-- {part}: made by dev/fact_docs.py -->\n", f"<!-- end of {part} -->\n"
        before, rest = text.split(start)
        text = before + start + "\n".join(made) + "\n" + end + rest.split(end)[1]
    return text


def main():
    made = page()
    if PAGE.read_text() == made:
        return 0
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(made)
        return 0
    print(f"{PAGE.relative_to(ROOT)} is out of date: run dev/fact_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
