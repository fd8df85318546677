"""Checks the agent's liveness analysis under the interpreter that runs this: python check.py LIVENESS.PY VERDICTS [control]

Hand-written functions with exact expectations, then random ones in which every local called dead is overwritten by a
poison object at each probe: a later read of it is a wrong verdict. Prints one JSON object. `control` leaves exception
edges out, which must be caught."""

import ctypes
import json
import random
import sys

import generated
import handwritten

namespace = {"__name__": "liveness"}
with open(sys.argv[1]) as source:
    exec(compile(source.read(), sys.argv[1], "exec"), namespace)
analyse_code = namespace["analyse_code"]
WANTED = int(sys.argv[2])
CONTROL = len(sys.argv) > 3


class Boom(Exception):
    pass


class Other(Exception):
    pass


class Poison:
    def __add__(self, other):
        wrong.append("add")
        return 0

    __radd__ = __iadd__ = __lt__ = __gt__ = __add__

    def __bool__(self):
        wrong.append("bool")
        return False


wrong = []
probes = verdicts = 0
known = {}
chance = random.Random(1)


def liveness(code):
    if code not in known:
        known[code] = analyse_code(code, exception_edges=not CONTROL)
    return known[code]


def poison(frame):
    global probes, verdicts
    live = liveness(frame.f_code)
    if live is None:
        return
    read_later = live.live_after(frame.f_lasti)
    values = frame.f_locals
    probes += 1
    for name in live.names:
        if name not in read_later and name in values:
            values[name] = POISON
            verdicts += 1
    if sys.version_info < (3, 13):
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))


POISON = Poison()


def probe(*ignored):
    poison(sys._getframe(1))
    if chance.random() < 0.1:
        raise Boom
    return 1


class Probing:
    """Probes inside operators, attribute look-up and comparison: specialised instructions."""

    def __add__(self, other):
        poison(sys._getframe(1))
        return 1

    __radd__ = __add__

    def __lt__(self, other):
        poison(sys._getframe(1))
        return chance.random() < 0.5

    __gt__ = __lt__

    @property
    def attribute(self):
        poison(sys._getframe(1))
        return 1


class Context:
    def __enter__(self):
        poison(sys._getframe(1))

    def __exit__(self, kind, value, trace):
        poison(sys._getframe(1))
        return chance.random() < 0.5

    async def __aenter__(self):
        pass

    async def __aexit__(self, kind, value, trace):
        return chance.random() < 0.5


class ProbingItems:
    def __init__(self):
        self.left = chance.randrange(3)

    def __iter__(self):
        return self

    def __next__(self):
        poison(sys._getframe(1))
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return self.left


def use(*values):
    if POISON in [v for v in values if type(v) is Poison]:
        wrong.append("use")
    return chance.randrange(5)


def boom():
    if chance.random() < 0.3:
        raise Boom
    if chance.random() < 0.1:
        raise Other
    return 1


async def later(value):
    return use(value)


budget = 0


def again():
    global budget
    budget -= 1
    return budget > 0 and chance.random() < 0.7


GLOBALS = dict(Boom=Boom, Other=Other, probe=probe, probing=Probing(), use=use, boom=boom, later=later, again=again,
               context=Context, probing_items=ProbingItems, items=lambda: range(chance.randrange(3)),
               new=lambda: chance.randrange(9), truth=lambda: chance.random() < 0.5)


def run(function, kind):
    global budget
    budget = 20
    try:
        if kind == "gen":
            for count, _ in enumerate(function()):
                if count > 20:
                    break
        elif kind == "async":
            coroutine = function()
            try:
                while True:
                    coroutine.send(None)
            except StopIteration:
                pass
        else:
            function()
    except (Boom, Other, UnboundLocalError):  # the last: a probe that raised between `del` and the next assignment
        pass


def main():
    mismatches = [] if CONTROL else handwritten.run(analyse_code)
    functions = 0
    while verdicts < WANTED and functions < 100000:
        text, kind = generated.function_text(functions)
        functions += 1
        known.clear()
        names = dict(GLOBALS)
        exec(compile(text, "generated%d" % functions, "exec"), names)
        for _ in range(25):
            run(names["f"], kind)
        if CONTROL and wrong:
            break
    print(json.dumps({"version": sys.version.split()[0], "handwritten": handwritten.count(), "mismatches": mismatches,
                      "functions": functions, "probes": probes, "verdicts": verdicts, "wrong": len(wrong)}))


main()
