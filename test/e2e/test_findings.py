"""Runs every program of test/corpus/faq under `vramtrack run --sim`: guilty ones must yield their finding with the
right file, line and variable, innocent ones none of the leak codes. Prints the table that docs/findings/README.md
keeps; VRAMTRACK_ACCEPT=1 writes it there."""

import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import types

import pytest

from conftest import PYTHON, ROOT, VRAMTRACK
from warm import is_suitable

PROGRAMS = ROOT / "test" / "corpus" / "faq"
README = ROOT / "docs" / "findings" / "README.md"
# What an innocent program must not be accused of. The rest (cache, workspace, library memory, a large layer) is
# information that may be true of any program.
LEAK_CODES = {"history-accumulation", "growing-site", "dead-local", "reference-cycle", "long-bptt",
              "duplicate-worker-rng", "out-of-memory", "leftover-process"}
MARK = re.compile(r"# <- ([\w-]+): (.+)$")
EXPECT = re.compile(r"# expect: ([\w-]+)$")
PROGRAM_FILES = sorted(PROGRAMS.glob("*/*.py"))


def end_leftovers(out):
    """Ends what a program left running: processes whose environment names its output folder."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"VRAMTRACK_OUT={out}" in (process / "environ").read_text(errors="replace").split("\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue  # another user's, or gone


def run(path, folder, *options, arguments=(), warm=None):
    """What a program's run gave, as JSON: findings of all its reports, exit code, stderr. `warm`: the process that may run
    it, if that makes no difference."""
    if warm and is_suitable(path):
        reports, code = warm.run(path, folder, arguments)
        return outcome_text(reports, folder, code)
    out = folder / "out"
    try:
        with open(folder / "stderr", "w") as stderr:  # no pipe: a process that stays would keep it open
            code = subprocess.run([str(VRAMTRACK), "run", "-o", str(out), *options, "--", PYTHON, str(path), *arguments],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, timeout=300,
                                  cwd=folder).returncode
    finally:
        end_leftovers(out)
    return outcome_text([json.loads(path.read_text()) for path in sorted(out.glob("vramtrack-*.json"))], folder, code)


def outcome_text(reports, folder, code):
    return json.dumps({"findings": [finding for report in reports for finding in report["findings"]],
                       "notes": [note for report in reports for note in report["losses"]["notes"]],
                       "stderr": (folder / "stderr").read_text(), "code": code})


@pytest.fixture(scope="session")
def outcome_of(tmp_path_factory, warm):
    """outcome_of(path): what running a program gave. Each program runs once, in whichever test and pytest-xdist worker
    asks for it first; the others wait for its file."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # shared by the workers

    def outcome(path):
        folder = base / "faq" / path.parent.name / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "outcome.json", "a+") as kept:
            fcntl.flock(kept, fcntl.LOCK_EX)
            kept.seek(0)
            text = kept.read()
            if not text:
                text = run(path, folder, "--sim=80GiB", warm=warm)
                kept.write(text)
            return types.SimpleNamespace(**json.loads(text))

    return outcome


def expected(path):
    """[(line, code, variable)] that the program's own marks ask for (variable "-": any); line and variable None for
    `expect:`."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if mark := MARK.search(line):
            found.append((number, mark.group(1), mark.group(2)))
        elif mark := EXPECT.search(line):
            found.append((None, mark.group(1), None))
    return found


def fits(finding, path, line, code, variable):
    if finding["code"] != code:
        return False
    if line is None:
        return True
    return finding["line"] == line and pathlib.Path(finding["file"]) == path and (
        variable == "-" or variable in (finding["variable"] or ""))


@pytest.mark.parametrize("path", PROGRAM_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_program(path, outcome_of):
    check_program(path, outcome_of(path))


def check_program(path, outcome):
    told = [(f["code"], f["file"], f["line"], f["variable"]) for f in outcome.findings]
    assert not [note for note in outcome.notes if note.startswith("the Python agent")]
    if path.stem.startswith("guilty"):
        wanted = expected(path)
        assert wanted, "a guilty program marks its line"
        for line, code, variable in wanted:
            assert any(fits(f, path, line, code, variable) for f in outcome.findings), (line, code, variable, told)
        for finding in outcome.findings:
            assert finding["message"] and finding["fix"] and finding["evidence"]
            assert (ROOT / finding["docs"]).is_file()
    else:
        accused = {f["code"] for f in outcome.findings} & (LEAK_CODES | {path.parent.name})
        assert not accused, told
        assert outcome.code == 0, outcome.stderr


BOUNDED = ROOT / "test" / "corpus" / "bounded.py"


@pytest.mark.parametrize("name", re.findall(r"^class (\w+):$", BOUNDED.read_text(), re.M))
def test_a_limit_that_is_not_reached(name, tmp_path, warm):
    """The code limits what it keeps, and the run ends before that shows; or it does not."""
    outcome = json.loads(run(BOUNDED, tmp_path, "--sim=80GiB", arguments=[name], warm=warm))
    assert outcome["code"] == 0, outcome["stderr"]
    told = [(f["line"], f["variable"]) for f in outcome["findings"] if f["code"] in LEAK_CODES]
    if name.startswith("Endless"):
        assert [variable for _, variable in told] == ["kept.items"], told
    else:
        assert not told


def test_kept_exceptions_are_named(outcome_of):
    """What keeps the tensors is the tracebacks: the finding says it, and how to drop them."""
    findings = outcome_of(PROGRAMS / "growing-site" / "guilty_kept_exceptions.py").findings
    told = [f for f in findings if f["code"] == "growing-site" and "with_traceback(None)" in f["fix"]]
    assert told and "traceback" in told[0]["message"], findings


def test_fused_rnn(tmp_path):
    """A graph node that is a whole RNN says how long its sequence is."""
    program = ROOT / "test" / "corpus" / "agent" / "fused_rnn.py"
    site = next(n for n, text in enumerate(program.read_text().splitlines(), 1) if "# the site" in text)
    told = {}
    for steps in ("400", "60"):
        folder = tmp_path / steps
        folder.mkdir()
        findings = json.loads(run(program, folder, "--sim=80GiB", arguments=[steps]))["findings"]
        told[steps] = [(f["line"], f["evidence"]["repetitions"]) for f in findings if f["code"] == "long-bptt"]
    assert told == {"400": [(site, 400)], "60": []}


def test_three_of_each():
    for folder in sorted(PROGRAMS.iterdir()):
        names = [path.stem for path in folder.glob("*.py")]
        assert sum(name.startswith("guilty") for name in names) >= 3, folder.name
        assert sum(name.startswith("innocent") for name in names) >= 3, folder.name


def test_table(outcome_of):
    outcomes = {path: outcome_of(path) for path in PROGRAM_FILES}
    rows = ["| code | guilty programs found | innocent programs silent |", "|---|---|---|"]
    for folder in sorted(PROGRAMS.iterdir()):
        guilty = [path for path in PROGRAM_FILES if path.parent == folder and path.stem.startswith("guilty")]
        innocent = [path for path in PROGRAM_FILES if path.parent == folder and path.stem.startswith("innocent")]
        found = sum(all(any(fits(f, path, *want) for f in outcomes[path].findings) for want in expected(path))
                    for path in guilty)
        silent = sum(not ({f["code"] for f in outcomes[path].findings} & (LEAK_CODES | {folder.name}))
                     for path in innocent)
        rows.append(f"| {folder.name} | {found} of {len(guilty)} | {silent} of {len(innocent)} |")
    table = "\n".join(rows)
    print("\n" + table)
    start, end = "<!-- results: written by test/e2e/test_findings.py -->", "<!-- /results -->"
    text = README.read_text()
    kept = text[text.index(start) + len(start):text.index(end)].strip()
    if os.environ.get("VRAMTRACK_ACCEPT"):
        README.write_text(text.replace(text[text.index(start):text.index(end)], f"{start}\n{table}\n"))
        return
    assert kept == table, "docs/findings/README.md is not what this run gave (VRAMTRACK_ACCEPT=1 writes it)"
