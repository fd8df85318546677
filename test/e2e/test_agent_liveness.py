"""The agent's dead-local verdicts, checked under every CPython that is there: none may be wrong.

VRAMTRACK_ALL_PYTHONS=1 demands all versions that are supported."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from pythons import SUPPORTED, interpreters

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = ROOT / "test" / "corpus" / "liveness" / "check.py"
LIVENESS = ROOT / "interpose" / "python" / "vramtrack_agent" / "liveness.py"
FOUND = interpreters()


def check(python, verdicts, *control):
    done = subprocess.run([python, str(CHECK), str(LIVENESS), str(verdicts), *control], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_versions():
    wanted = SUPPORTED if os.environ.get("VRAMTRACK_ALL_PYTHONS") else ("%d.%d" % sys.version_info[:2],)
    assert set(wanted) <= set(FOUND) | {version.rstrip("t") for version in FOUND}, f"missing interpreters: have {FOUND}"


@pytest.mark.parametrize("version", list(FOUND))
def test_no_wrong_verdict(version):
    result = check(FOUND[version], 100000)
    print(result)
    assert result["handwritten"] >= 100
    assert result["mismatches"] == []
    assert result["verdicts"] >= 100000
    assert result["wrong"] == 0


@pytest.mark.parametrize("version", list(FOUND))
def test_missing_exception_edges_are_caught(version):
    """The check itself can fail: without exception edges it must find a read of a poisoned local."""
    assert check(FOUND[version], 100000, "control")["wrong"] > 0
