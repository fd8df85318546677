"""The CPython interpreters that tests run under: of every version that vramtrack reads stacks of, the first one found.

Looked at: VRAMTRACK_PYTHONS (paths separated by colons), the one that runs the tests, pythonX.Y and pythonX.Yt on PATH,
and pyenv's. A version that no interpreter was found for is not covered on this machine, which is printed."""

import functools
import os
import pathlib
import shutil
import subprocess
import sys

SUPPORTED = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14")  # t: free-threaded
REFUSED = ("3.14t",)  # recognised, and traced with native stacks only
PROBE = (
    "import sys, sysconfig;"
    "print('%d.%d' % sys.version_info[:2] + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)


def by_age(version):
    return int(version.rstrip("t").split(".")[1]), version


def choose(answers):
    """{version: path} from (path, what PROBE said there) in order of preference: the first of each known version."""
    found = {}
    for path, version in answers:
        if version in SUPPORTED or version in REFUSED:
            found.setdefault(version, path)
    return dict(sorted(found.items(), key=lambda item: by_age(item[0])))


def candidates():
    yield from filter(None, os.environ.get("VRAMTRACK_PYTHONS", "").split(":"))
    yield sys.executable
    for version in SUPPORTED + REFUSED:
        yield from filter(None, [shutil.which(f"python{version}")])
    for root in filter(None, [os.environ.get("PYENV_ROOT"), pathlib.Path.home() / ".pyenv"]):
        yield from sorted(map(str, pathlib.Path(root).glob("versions/3.*/bin/python")))


def ask(path):
    try:
        return subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=60).stdout.strip()
    except OSError:
        return ""


@functools.cache
def interpreters():
    return choose((path, ask(path)) for path in candidates())


def summary(found):
    """One line: what is covered, and what is not."""
    missing = [version for version in SUPPORTED + REFUSED if version not in found]
    line = "Python stacks: tested under CPython " + ", ".join(found)
    return line + (f"; not covered, for want of an interpreter: {', '.join(missing)}" if missing else "")
