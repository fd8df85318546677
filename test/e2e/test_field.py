"""Runs every program of test/corpus/field under `vramtrack run --sim`: trouble that others reported in public, rebuilt, and
what is of kinds that no report was found of (docs/findings/field-cases.md). A guilty program must yield its finding with the right file, line and name, its
repaired twin none of the leak codes."""

import itertools
import json
import re

import pytest

from conftest import ROOT
from test_findings import LEAK_CODES, run

# What is not answered yet (docs/findings/field-cases.md): of these only that their twins are silent.
NOT_YET: set[str] = set()
PROGRAMS = sorted(path.parent for path in (ROOT / "test" / "corpus" / "field").glob("*/guilty.py"))
MARK = re.compile(r"# <- ([\w|-]+): (.+)$")
DEVICE = re.compile(r"^# Device: (\w+)$", re.M)  # where another size than 80GiB is meant


def finding_of(program, folder, warm):
    folder.mkdir()
    size = DEVICE.search(program.read_text())
    outcome = json.loads(run(program, folder, f"--sim={size.group(1) if size else '80GiB'}", warm=warm))
    assert outcome["code"] == 0 or "out-of-memory" in program.read_text(), outcome["stderr"]
    return [finding for finding in outcome["findings"] if finding["code"] in LEAK_CODES]


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda folder: folder.name)
def test_program_from_the_field(folder, tmp_path, warm):
    guilty = folder / "guilty.py"
    source = guilty.read_text().splitlines()
    line, codes, name = next(
        (number, mark.group(1).split("|"), mark.group(2))
        for number, text in enumerate(source, 1) if (mark := MARK.search(text)))
    found = finding_of(guilty, tmp_path / "guilty", warm)
    told = [(f["code"], f["line"], f["variable"], f["bytes"]) for f in found]
    assert folder.name in NOT_YET or any(f["code"] in codes and f["file"] == str(guilty) and f["line"] == line and
               name in f"{f['variable']} {source[line - 1].split('#')[0] if not f['variable'] else ''}"
               for f in found), told
    if folder.name not in NOT_YET:
        assert [place for _, place, *_ in told] == [line] * len(told), told  # and nothing is told of others
        for one, other in itertools.permutations(told, 2):  # or twice
            assert one[0] != other[0] or not str(one[2]).startswith((f"{other[2]}.", f"{other[2]}[")), told
    assert not (accused := finding_of(folder / "innocent.py", tmp_path / "innocent", warm)), accused
