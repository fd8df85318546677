# Which locals of a frame the bytecode may still read or set. Pure: code objects in, names out. CPython 3.9 to 3.14.
# Backward over the instructions, with jumps, fall-through and exception edges. "Dead" is a promise, so everything unknown
# is called live.

from __future__ import annotations

import dis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Callable

_READS_ALL = frozenset(
    ("locals", "eval", "exec", "vars", "dir", "globals", "_getframe", "f_locals", "currentframe", "stack", "f_back")
)
_NO_FALL_THROUGH = frozenset(
    (
        "RETURN_VALUE",
        "RETURN_CONST",
        "RAISE_VARARGS",
        "RERAISE",
        "JUMP_FORWARD",
        "JUMP_ABSOLUTE",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
        "INTERPRETER_EXIT",
    )
)
_SETUP = frozenset(("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH"))
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)


class Liveness:
    """Per code object: instruction offsets and, for each, the sets (bit masks) of names that may be read after it before
    they are set, and of those that may be set or deleted after it."""

    __slots__ = ("names", "offsets", "after", "set_after", "module")

    def __init__(
        self, names: list[str], module: bool, offsets: list[int], after: list[int], set_after: list[int]
    ) -> None:
        self.names, self.module = names, module
        self.offsets, self.after, self.set_after = offsets, after, set_after

    def live_after(self, lasti: int) -> set[str]:
        """Names that may be read after the instruction at byte offset `lasti` (which may point into its cache)."""
        return self._names(self.after, lasti)

    def changed_after(self, lasti: int) -> set[str]:
        """Names that may be set or deleted after it."""
        return self._names(self.set_after, lasti)

    def _names(self, masks: list[int], lasti: int) -> set[str]:
        low, high = 0, len(self.offsets)
        while low < high:
            middle = (low + high) // 2
            if self.offsets[middle] <= lasti:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return set(self.names)  # not started: nothing is known
        mask = masks[low - 1]
        return {name for bit, name in enumerate(self.names) if mask >> bit & 1}


def analyse_code(code: CodeType, exception_edges: bool = True) -> Liveness | None:
    """Liveness of a function's fast locals, or of a module body's names; None where no verdict is possible."""
    if not _READS_ALL.isdisjoint(code.co_names):
        return None
    module = not code.co_flags & 1  # not CO_OPTIMIZED: names live in a dict
    if module and code.co_name != "<module>":
        return None  # a class body
    instructions = list(dis.get_instructions(code))
    index = {ins.offset: i for i, ins in enumerate(instructions)}
    if module:
        names = sorted(_stored_names(instructions) - _names_in_nested(code))
        effects = [_module_effect(ins) for ins in instructions]
    else:
        hidden = set(code.co_cellvars) | set(code.co_freevars)
        names = [name for name in code.co_varnames if name not in hidden]
        name_of = getattr(code, "_varname_from_oparg", None) or code.co_varnames.__getitem__
        effects = [_function_effect(ins, name_of) for ins in instructions]
    bit_of = {name: 1 << bit for bit, name in enumerate(names)}

    # effects in order of execution within the instruction: ("r"|"w", name)
    reads, writes = [], []
    for effect in effects:
        read = write = 0
        for action, name in effect:
            bit = bit_of.get(name, 0)
            if action == "r":
                read |= bit & ~write
            else:
                write |= bit
        reads.append(read)
        writes.append(write)

    successors = []
    for i, ins in enumerate(instructions):
        follow = []
        if ins.opname not in _NO_FALL_THROUGH and i + 1 < len(instructions):
            follow.append(i + 1)
        if ins.opcode in _JUMPS and ins.argval in index:
            follow.append(index[ins.argval])
        successors.append(follow)
    handlers: list[tuple[int, ...]] = [()] * len(instructions)
    if exception_edges:
        try:
            handlers = _handlers(code, instructions, index, successors)
        except (RuntimeError, KeyError):
            return None

    return Liveness(
        names,
        module,
        [ins.offset for ins in instructions],
        _flow_back(successors, handlers, reads, writes),
        _flow_back(successors, handlers, writes, [0] * len(writes)),
    )


def _flow_back(
    successors: list[list[int]], handlers: list[tuple[int, ...]], uses: list[int], ends: list[int]
) -> list[int]:
    """For each instruction the uses that may follow it: those of an instruction, and those after it but for `ends`."""
    before = [0] * len(uses)
    after = [0] * len(uses)
    changed = True
    while changed:
        changed = False
        for i in range(len(uses) - 1, -1, -1):
            out = 0
            for s in successors[i]:
                out |= before[s]
            raised = 0
            for h in handlers[i]:
                raised |= before[h]
            after[i] = out | raised
            into = uses[i] | (out & ~ends[i]) | raised
            if into != before[i]:
                before[i] = into
                changed = True
    return after


def _function_effect(ins: dis.Instruction, name_of: Callable[[int], str]) -> tuple[tuple[str, str], ...]:
    op, arg = ins.opname, ins.arg
    if arg is None:
        return ()
    if op == "STORE_FAST" or op == "DELETE_FAST":
        return (("w", name_of(arg)),)
    if op == "STORE_FAST_LOAD_FAST":
        return (("w", name_of(arg >> 4)), ("r", name_of(arg & 15)))
    if op == "STORE_FAST_STORE_FAST":
        return (("w", name_of(arg >> 4)), ("w", name_of(arg & 15)))
    if op.count("_FAST") == 2:  # LOAD_FAST_LOAD_FAST and its variants
        return (("r", name_of(arg >> 4)), ("r", name_of(arg & 15)))
    if "_FAST" in op:  # LOAD_FAST, _CHECK, _AND_CLEAR, and what later versions add
        return (("r", name_of(arg)),)
    return ()


def _module_effect(ins: dis.Instruction) -> tuple[tuple[str, str], ...]:
    if ins.opname in ("STORE_NAME", "DELETE_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"):
        return (("w", ins.argval),)
    if "_NAME" in ins.opname or "_GLOBAL" in ins.opname or ins.opname in ("LOAD_FROM_DICT_OR_GLOBALS",):
        return (("r", ins.argval),)
    return ()


def _stored_names(instructions: list[dis.Instruction]) -> set[str]:
    return {ins.argval for ins in instructions if ins.opname == "STORE_NAME"}


def _names_in_nested(code: CodeType) -> set[str]:
    """Global names that functions and classes defined in this code may read at any time."""
    found = set()
    todo = [const for const in code.co_consts if hasattr(const, "co_code")]
    while todo:
        inner = todo.pop()
        found.update(inner.co_names)
        todo.extend(const for const in inner.co_consts if hasattr(const, "co_code"))
    return found


def _handlers(
    code: CodeType, instructions: list[dis.Instruction], index: dict[int, int], successors: list[list[int]]
) -> list[tuple[int, ...]]:
    """For each instruction the indices of the handlers that an exception raised in it may reach."""
    handlers: list[tuple[int, ...]] = [()] * len(instructions)
    parse = getattr(dis, "_parse_exception_table", None)
    if parse is not None:
        entries = list(parse(code))
        for i, ins in enumerate(instructions):
            reach = [index[e.target] for e in entries if e.start <= ins.offset < e.end and e.target in index]
            if reach:
                handlers[i] = tuple(reach)
        return handlers
    # 3.9 and 3.10: the block stack is pushed and popped by instructions. A stack is a tuple of handler indices,
    # -1 for the block that a running handler occupies until POP_EXCEPT.
    seen: set[tuple[int, tuple[int, ...]]] = set()
    todo: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    reaches: list[set[int]] = [set() for _ in instructions]
    while todo:
        i, stack = todo.pop()
        if (i, stack) in seen:
            continue
        if len(seen) > 50 * len(instructions) + 1000:
            raise RuntimeError("block stacks do not settle")
        seen.add((i, stack))
        ins = instructions[i]
        for depth in range(len(stack) - 1, -1, -1):
            if stack[depth] >= 0:
                reaches[i].add(stack[depth])
                todo.append((stack[depth], stack[:depth] + (-1,)))
                break
        after = stack
        if ins.opname in _SETUP:
            after = stack + (index[ins.argval],)
        elif ins.opname in ("POP_BLOCK", "POP_EXCEPT", "END_ASYNC_FOR") and stack:
            after = stack[:-1]
        for s in successors[i]:
            if ins.opname in _SETUP and s == index[ins.argval]:
                todo.append((s, stack + (-1,)))
            else:
                todo.append((s, after))
    return [tuple(sorted(reach)) for reach in reaches]
