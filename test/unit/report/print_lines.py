"""Prints what this interpreter itself says about the lines of many code objects, for python_lines_test.cpp.

One code object a line: minor version, first line, line table in hex, then offset:line pairs (line 0: none)."""

import dis
import importlib
import sys
import types

MODULES = "ast argparse asyncio.tasks collections contextlib dataclasses dis email.message inspect json.decoder"
ODD = '''
def long_gap(x):
    y = (x,
{blank}
         x + 1)
    return [a for a in y
            if a]
async def waits(x):
    async with x as y:
        try:
            await y
        finally:
            with y: pass
class C:
    z = lambda self: (
        yield)
def far(): return 1
'''.replace("{blank}", "\n" * 300)


def lines_of(code):
    size = len(code.co_code)
    if hasattr(code, "co_positions"):
        return [(2 * i, position[0] or 0) for i, position in enumerate(code.co_positions())]
    if hasattr(code, "co_lines"):
        lines = []
        for start, end, line in code.co_lines():
            lines += [(offset, line or 0) for offset in range(start, end, 2)]
        return lines
    starts = dict(dis.findlinestarts(code))
    line, lines = code.co_firstlineno, []
    for offset in range(0, size, 2):
        line = starts.get(offset, line)
        lines.append((offset, line))
    return lines


def walk(code):
    table = code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab
    pairs = " ".join(f"{offset}:{line}" for offset, line in lines_of(code))
    print(sys.version_info[1], code.co_firstlineno, table.hex() or "-", pairs)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            walk(constant)


walk(compile(ODD, "odd.py", "exec"))
for name in MODULES.split():
    path = importlib.import_module(name).__file__
    with open(path, encoding="utf-8") as file:
        walk(compile(file.read(), path, "exec"))
