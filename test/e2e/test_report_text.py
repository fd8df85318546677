"""The text report where it goes to: a terminal, a pipe, a file."""

import os
import pty
import subprocess
import threading

import pytest

from conftest import ROOT, VRAMTRACK

TRACE = ROOT / "test" / "golden" / "version-1.vtrace"


def on_a_terminal(*arguments, columns=100, **environment):
    """What the command writes to its terminal of that width. A line of our own behind it tells where it ends: what a
    terminal still holds when its last writer closes it is not always handed out."""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=follower, check=True)
    environment = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    last = b"-- the end --\r\n"
    output = b""

    def read_all():
        nonlocal output
        while not output.endswith(last):
            output += os.read(leader, 65536)

    reader = threading.Thread(target=read_all)
    reader.start()
    code = subprocess.run([str(part) for part in (VRAMTRACK, *arguments)], stdout=follower, env=environment).returncode
    os.write(follower, last.replace(b"\r", b""))
    reader.join()
    os.close(follower)
    os.close(leader)
    assert code == 0
    return output.removesuffix(last).decode().replace("\r\n", "\n")


def piped(*arguments, **environment):
    done = subprocess.run(
        [str(part) for part in (VRAMTRACK, *arguments)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    assert done.stderr == ""
    return done.stdout


def test_colours_only_on_a_terminal(tmp_path):
    coloured = on_a_terminal("report", TRACE, NO_COLOR=None)
    assert "\x1b[" in coloured
    assert "\x1b" not in piped("report", TRACE)
    assert "\x1b" not in on_a_terminal("report", TRACE, NO_COLOR="1")
    assert "\x1b[" in on_a_terminal("report", TRACE, NO_COLOR="")  # an empty one is as good as none
    assert on_a_terminal("report", TRACE, "-o", tmp_path / "file", NO_COLOR=None) == ""
    assert "\x1b" not in (tmp_path / "file").read_text()


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_as_wide_as_the_terminal(columns):
    lines = on_a_terminal("report", TRACE, columns=columns, NO_COLOR="1").splitlines()
    assert max(map(len, lines)) <= columns
    assert lines == piped("report", TRACE, "--width", columns).splitlines()
