"""Functions with exact expectations: each `P("a b")` says which bound locals are dead at that call, each `S("a b")` which of
them stay as they are until the function ends."""

import os
import sys

_mismatches = []
_analyse = None
_known = {}


def P(expected=""):
    return _check(sys._getframe(1), expected, lambda live, lasti: set(live.names) - live.live_after(lasti))


def S(expected=""):
    return _check(sys._getframe(1), expected, lambda live, lasti:
                  set(live.names) - live.live_after(lasti) - live.changed_after(lasti))


def _check(frame, expected, names):
    code = frame.f_code
    if code not in _known:
        _known[code] = _analyse(code)
    live = _known[code]
    bound = frame.f_locals
    found = set() if live is None else {name for name in names(live, frame.f_lasti) if name in bound}
    if found != set(expected.split()):
        _mismatches.append("%s line %d: expected %s, found %s" % (code.co_name, frame.f_lineno, expected.split(), sorted(found)))
    return 1


def F(*values, **named):
    return 1


class Swallow:
    def __enter__(self):
        return 1

    def __exit__(self, *error):
        return True


def _sources():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "handwritten_functions.txt")
    with open(path) as text:
        parts = text.read().split("\n---\n")
    return [part for part in parts if part.strip()]


def count():
    return len(_sources())


def _finish(value):
    """Runs what calling the function gave, if that is a generator or coroutine."""
    if hasattr(value, "send"):
        try:
            while True:
                value.send(None)
        except StopIteration:
            pass


def run(analyse):
    global _analyse
    _analyse = analyse
    for number, text in enumerate(_sources()):
        names = {"P": P, "S": S, "F": F, "Swallow": Swallow, "N": number}
        exec(compile(text, "handwritten %d" % number, "exec"), names)
        _finish(names["f"]())
    return _mismatches
