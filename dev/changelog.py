#!/usr/bin/env python3
"""Moves the fragments of docs/changes/ into CHANGELOG.md: dev/changelog.py VERSION [DATE]. Without arguments: shows them.

A fragment is docs/changes/NAME.KIND.md, KIND one of added, changed, fixed; its text is a line or two of Markdown.
"""

import datetime
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "changes"
CHANGELOG = ROOT / "CHANGELOG.md"
MARK = "<!-- releases -->\n"
KINDS = ("added", "changed", "fixed")


def fragments():
    """Texts by kind; exits when a file's name or content is not that of a fragment."""
    found = {kind: [] for kind in KINDS}
    for path in sorted(FOLDER.glob("*.md")):
        kind = path.stem.rpartition(".")[2]
        text = " ".join(path.read_text().split())
        if kind not in found or not text:
            raise SystemExit(f"{path}: not NAME.({'|'.join(KINDS)}).md with a text in it")
        found[kind].append(text)
    return found


def section():
    parts = []
    for kind, texts in fragments().items():
        if texts:
            parts.append(f"### {kind.capitalize()}\n\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(parts)


def main():
    if len(sys.argv) == 1:
        print(section(), end="")
        return
    version, date = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else datetime.date.today().isoformat()
    before, after = CHANGELOG.read_text().split(MARK)
    CHANGELOG.write_text(f"{before}{MARK}\n## {version} ({date})\n\n{section()}{after}")
    for path in FOLDER.glob("*.md"):
        path.unlink()


if __name__ == "__main__":
    main()
