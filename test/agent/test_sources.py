"""What the agent's files share, and what it reads in the program's sources."""

import ast
import os
import signal
import warnings

import pytest


def line_of(text, what):
    return next(number for number, line in enumerate(text.splitlines(), 1) if what in line)


# ---- process ----


def test_only_the_agents_own_errors_are_caught():
    from vramtrack_agent.process import describe, is_own, is_own_error

    with pytest.raises(KeyError) as raised:
        {}["missing"]
    assert is_own_error(raised.value)  # nothing of the script's that may raise runs while the agent does
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        assert not is_own_error(raised.value)
        with pytest.raises(SyntaxError) as raised:
            ast.parse("a = (")  # ends in a line of ast
        assert is_own_error(raised.value)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(AttributeError) as raised:
        is_own(3)  # fails in a line of the agent
    assert is_own_error(raised.value) and "process.py:" in describe(raised.value)
    assert not is_own_error(KeyboardInterrupt()) and not is_own_error(None)


# ---- growth ----

SOURCE = """\
import torch
history, total = [], 0
class Meter:
    def __init__(self):
        self.values = []
    def update(self, value):
        self.values.append(value)
        if value:
            row = self.rows.setdefault(value, [])
        row.append(value)
def limited(window=[]):
    for i in range(10):
        window.append(i)
        if len(window) > 5:
            window.pop(0)
for step in range(10):
    loss = step * 2
    total = total + loss
    history.append(loss)
def forward(loss):
    loss = loss + 1
    return loss
"""


@pytest.fixture
def source(tmp_path):
    from vramtrack_agent.growth import forget_sources

    path = tmp_path / "train.py"
    path.write_text(SOURCE)
    yield str(path)
    forget_sources()


@pytest.mark.parametrize("text", [b"a = 1\0", b"a = (", b"\x7fELF\x02\x01\x01\0", b"# coding: no-such\n"])
def test_what_is_no_source_has_no_tree(tmp_path, text):
    from vramtrack_agent.growth import forget_sources, source_tree

    path = tmp_path / "train.py"
    path.write_bytes(text)
    assert source_tree(str(path)) is None
    forget_sources()


def test_a_pipe_is_no_source(tmp_path):
    from vramtrack_agent.growth import forget_sources, source_tree

    os.mkfifo(tmp_path / "train.py")
    tree = source_tree(str(tmp_path / "train.py"))  # nobody writes to it
    assert tree is not None and not tree.body
    forget_sources()


@pytest.mark.parametrize("action", ["always", "error"])
def test_the_warnings_of_a_source_are_not_shown_again(tmp_path, action):
    from vramtrack_agent.growth import forget_sources, source_tree

    path = tmp_path / "train.py"
    path.write_text("pattern = '\\d'\n")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(action)
        filters = list(warnings.filters)
        assert source_tree(str(path)) is not None and not shown
        assert warnings.filters == filters
    forget_sources()


@pytest.mark.parametrize(
    "name, of_class, what",
    [
        ("history", "", "history.append"),
        ("total", "", "total = total"),
        ("values", "Meter", "self.values.append"),
        ("rows", "Meter", "row.append"),
    ],
)
def test_the_line_that_makes_it_grow(source, name, of_class, what):
    from vramtrack_agent.growth import growth_line

    assert growth_line(source, "", 0, name, None, of_class) == (line_of(SOURCE, what), True)


def test_an_assignment_does_not_grow(source):
    from vramtrack_agent.growth import growth_line, limited_in_source

    assert growth_line(source, "", 0, "loss") == (line_of(SOURCE, "loss = "), False)
    assert limited_in_source(source, "limited", line_of(SOURCE, "def limited"), "window")
    assert not limited_in_source(source, "", 0, "history")


def test_a_name_that_its_statement_reads(source):
    from vramtrack_agent.growth import read_in_statement

    assert read_in_statement(source, line_of(SOURCE, "total = total"), "loss")
    assert not read_in_statement(source, line_of(SOURCE, "total = total"), "history")
