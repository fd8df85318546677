"""The walls of the house: which folder may include which (docs/architecture.md). No exceptions."""

import re

from conftest import ROOT

# From the bottom up, a column for each program: a folder may include those before it in its column, and itself.
COLUMNS = [
    ["contract"]
    + [f"interpose/{f}" for f in "core trace ledger stacks recorder python cuda torch".split()]
    + ["cupti", "interpose/process"],
    ["contract"]
    + [f"report/{f}" for f in "support model symbolize analysis holders findings load compare render".split()]
    + ["tools"],
    ["contract", "sim/core", "sim/names", "sim/driver", "sim/torch", "sim/math", "sim/nccl", "sim/runtime"],
]
SOURCES = {".hpp", ".cpp", ".h", ".c", ".S", ".def"}
INCLUDE = re.compile(r'^#\s*include "([^"]+)"', re.M)


def folder_of(path):
    """The entry of COLUMNS that a path of the repository belongs to, or None."""
    known = {folder for column in COLUMNS for folder in column}
    return max((f for f in known if path.startswith(f + "/")), key=len, default=None)


def test_each_source_lies_in_a_known_folder():
    for top in ("contract", "interpose", "cupti", "report", "tools", "sim"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in SOURCES:
                assert folder_of(str(path.relative_to(ROOT))), f"{path} lies in no folder of test_house.py"


def test_folders_include_only_those_below_them():
    wrong, seen = [], 0
    for column in COLUMNS:
        for place, folder in enumerate(column):
            for path in (ROOT / folder).rglob("*"):
                here = str(path.relative_to(ROOT))
                if path.suffix not in SOURCES or folder_of(here) != folder:
                    continue
                for name in INCLUDE.findall(path.read_text()):
                    target = folder_of(name)
                    if target is None:  # beside the file, or made by the build in the folder that it is named after
                        assert (path.parent / name).exists(), f"{here} includes {name}: not from the repository's root"
                        continue
                    seen += 1
                    if target not in column[: place + 1]:
                        wrong.append(f"{here} includes {name}: {target}/ is not below {folder}/")
    assert seen > 500
    assert not wrong, "\n".join(wrong)


def test_the_document_lists_the_folders_in_this_order():
    text = (ROOT / "docs" / "architecture.md").read_text()
    tables = re.findall(r"^\|--.*\n((?:\|.*\n)+)", text, re.M)
    assert [re.findall(r"^\| `([a-z/]+)/` \|", table, re.M) for table in tables] == [c[::-1] for c in COLUMNS]
