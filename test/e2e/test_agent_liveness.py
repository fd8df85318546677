"""The agent's dead-local verdicts, checked under every CPython that is there: none may be wrong.

Interpreters: VRAMTRACK_PYTHONS (paths separated by colons), python3.9 to python3.13 on PATH and below ~/.pyenv, and the
one that runs this. VRAMTRACK_ALL_PYTHONS=1 (CI) demands all five versions."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK = ROOT / "test" / "programs" / "liveness" / "check.py"
LIVENESS = ROOT / "interpose" / "agent" / "py" / "liveness.py"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")


def interpreters():
    found = {}
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))
    named = [path for path in os.environ.get("VRAMTRACK_PYTHONS", "").split(":") if path]
    for version in VERSIONS:
        on_path = shutil.which("python" + version)
        named += [on_path] if on_path else []
        named += sorted(str(path) for path in pyenv.glob("versions/%s.*/bin/python" % version))
    for path in [sys.executable, *named]:
        try:
            answer = subprocess.run([path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                                    capture_output=True, text=True, timeout=30)
        except OSError:
            continue
        if answer.returncode == 0 and answer.stdout.strip() in VERSIONS:
            found.setdefault(answer.stdout.strip(), path)
    return found


FOUND = interpreters()


def check(python, verdicts, *control):
    done = subprocess.run([python, str(CHECK), str(LIVENESS), str(verdicts), *control], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_versions():
    wanted = VERSIONS if os.environ.get("VRAMTRACK_ALL_PYTHONS") else ("%d.%d" % sys.version_info[:2],)
    assert set(wanted) <= set(FOUND), f"missing interpreters: have {FOUND}"


@pytest.mark.parametrize("version", sorted(FOUND, key=lambda text: int(text.split(".")[1])))
def test_no_wrong_verdict(version):
    result = check(FOUND[version], 100000)
    print(result)
    assert result["handwritten"] >= 100
    assert result["mismatches"] == []
    assert result["verdicts"] >= 100000
    assert result["wrong"] == 0


@pytest.mark.parametrize("version", sorted(FOUND, key=lambda text: int(text.split(".")[1])))
def test_missing_exception_edges_are_caught(version):
    """The check itself can fail: without exception edges it must find a read of a poisoned local."""
    assert check(FOUND[version], 100000, "control")["wrong"] > 0
