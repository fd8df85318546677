#!/usr/bin/env python3
"""Writes what follows from report/model/report.def: docs/report.schema.json and docs/report-fields.md.

    dev/report_docs.py           writes them
    dev/report_docs.py --check   exits with 1 when one is out of date

VRAMTRACK_BUILD names the build folder whose `vramtrack schema` says what the table holds (default: build)."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build"))
SCHEMA = ROOT / "docs" / "report.schema.json"
FIELDS = ROOT / "docs" / "report-fields.md"
HEAD = """# Every key of the JSON report

Made by `dev/report_docs.py` from `report/model/report.def`; [report-schema.md](report-schema.md) says how the parts belong
together. `[]` are the elements of a list, `?` follows a type whose value may be null.

| key | type | what it is |
|---|---|---|
"""


def type_of(schema):
    types = schema.get("type", "string")
    types = [types] if isinstance(types, str) else types
    name = next(name for name in types if name != "null")
    if name == "array":
        name = "list of " + type_of(schema["items"])
    unknown = "null" in types or None in schema.get("enum", [])
    return name + ("?" if unknown else "")


def rows(schema, path=""):
    for key, child in schema.get("properties", {}).items():
        where = f"{path}.{key}" if path else key
        words = ", ".join(f"`{word}`" for word in child.get("enum", []) if word is not None)
        text = child["description"] + (f" One of {words}." if words else "")
        yield f"| `{where}` | {type_of(child)} | {text} |".replace("||", "\\|\\|")
        yield from rows(child, where)
        yield from rows(child.get("items", {}), where + "[]")


def made():
    text = subprocess.run([BUILD / "bin" / "vramtrack", "schema"], check=True, capture_output=True, text=True).stdout
    return {SCHEMA: text, FIELDS: HEAD + "\n".join(rows(json.loads(text))) + "\n"}


def main():
    check = sys.argv[1:] == ["--check"]
    outdated = {path: text for path, text in made().items() if not path.exists() or path.read_text() != text}
    for path, text in outdated.items():
        if check:
            print(f"{path.relative_to(ROOT)} is out of date: run dev/report_docs.py", file=sys.stderr)
        else:
            path.write_text(text)
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
