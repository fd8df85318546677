# What all files of the agent share: what is known of the process, and whose an exception is.

from __future__ import annotations

import functools
import sys

from . import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any, Callable


class Process:
    """Of the process that the agent is in."""

    def __init__(self) -> None:
        self.main = ""  # the file of the main script: gone from its module when atexit runs
        self.on_exit: Callable[[], Any] = lambda: None  # what the agent has registered with atexit
        self.collects = True  # whether Python's collector was on when an analysis began, which holds it off


process = Process()

# Modules of the standard library whose functions the agent calls, which may raise: no signal handler is one of theirs.
_CALLED = frozenset(
    ("ast", "collections", "dis", "functools", "importlib._bootstrap", "importlib._bootstrap_external", "opcode", "os")
    + ("posixpath", "re", "re._compiler", "re._parser", "sre_compile", "sre_parse", "types", "weakref")
)

# "<vramtrack " where the files are embedded, else their folder.
_OWN_FILES = sys._getframe().f_code.co_filename.rpartition("process")[0]


def is_own(code: CodeType) -> bool:
    """Whether code is the agent's."""
    return code.co_filename.startswith(_OWN_FILES)


def is_hidden(code: CodeType) -> bool:
    """Whether it is the agent's or the simulated GPU's: what their functions hold for a moment is nobody's."""
    return is_own(code) or code.co_filename == "<vramtrack-sim>"


def _innermost(error: BaseException) -> TracebackType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _has_handlers() -> bool:
    """Whether the script handles a signal by a function of its own: nothing else that may raise runs while the agent does."""
    import _signal  # type: ignore[import-not-found]

    return any(
        callable(handler) and handler is not _signal.default_int_handler
        for handler in map(_signal.getsignal, range(1, _signal.NSIG))
    )


def is_own_error(error: BaseException | None) -> bool:
    """Whether an exception comes from the agent, not from a signal handler that ran while the agent did."""
    if error is None or isinstance(error, KeyboardInterrupt):
        return False
    trace = _innermost(error)
    if trace is None or is_own(trace.tb_frame.f_code) or trace.tb_frame.f_globals.get("__name__") in _CALLED:
        return True
    return not _has_handlers()


def ours() -> type[Exception] | tuple[()]:
    """For `except ours():`: nothing matches when a signal handler of the script's raised while the agent worked."""
    return Exception if is_own_error(sys.exc_info()[1]) else ()


def describe(error: BaseException) -> str:
    """An exception of the agent's, as the text of the fact `agent_error`."""
    trace = _innermost(error)
    where = "%s:%d" % (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else "?"
    text = "%s %s: %s" % (where, type(error).__name__, error)
    return "".join(c if c.isprintable() else " " for c in text[:300])


def door(name: str) -> Callable[..., Any]:
    """What the interpreter and torch call for a function of install.py. The way in is native, so that a trace or
    profile function of the script sees no call, and none of the agent's lines: a partial is not reported as a call of
    Python or C."""
    return functools.partial(native.enter, name)


def end_now() -> None:
    """The interposed _exit brings the trace to its end."""
    import os

    os._exit(0)
