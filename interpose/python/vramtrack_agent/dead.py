# Locals that hold memory although nothing reads them again.

from __future__ import annotations

import collections
import sys

from .code_files import is_user_file
from .frames import frame_locals, real_gc
from .growth import read_in_statement
from .liveness import analyse_code
from .plain_types import ids, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Callable, Tuple

    from .frames import Running
    from .liveness import Liveness

    # bytes, tensors, name, frame, whether it stays so until the function ends, whether it is a module's
    DeadLocal = Tuple[int, int, str, FrameType, bool, bool]

_FLAT = ids(dict, list, tuple)
_liveness_cache: dict[CodeType, Liveness | None] = {}  # code object -> Liveness or None; bounded, cleared when full


def liveness_of(code: CodeType) -> Liveness | None:
    if code not in _liveness_cache:
        if len(_liveness_cache) > 500:
            _liveness_cache.clear()
        _liveness_cache[code] = analyse_code(code)
    return _liveness_cache[code]


def _owner_counts(values: dict[str, Any]) -> dict[str, int]:
    """References of each value that the dict `values` alone does not explain, by name. Same code for the baseline."""
    counts = {}
    for name in list(values):
        counts[name] = sys.getrefcount(values[name])
    return counts


def _baseline(_known: list[int | None] = []) -> int | None:
    """What _owner_counts says of an object that one local of a running function holds and nothing else."""
    if not _known:

        def holder() -> tuple[int | None, bool]:
            held = object()
            counts = _owner_counts(frame_locals(sys._getframe()))
            return counts.get("held"), held is None

        _known.append(holder()[0])
    return _known[0]


def _frames_holding(frames: list[Running], value: Any) -> int:
    """How many locals of these frames are `value`. From 3.14 an argument may be lent: the callee's local then holds no
    reference of its own, so the object's count does not tell that the caller has it too."""
    return sum(held is value for frame, _ in frames for held in frame_locals(frame).values())


def dead_locals(
    frames: list[Running], tensor_bytes: Callable[[Any], int], alone: Callable[[Any], bool], deep: bool
) -> list[DeadLocal]:
    """Locals that hold memory, that the bytecode never reads again, and whose object nothing else holds.

    `tensor_bytes(value)` gives the device bytes of a tensor or 0; `alone(tensor)` says that neither a view nor the
    autograd graph shares its memory. Only such a local may be told to be freed by `del`. Of each it is said whether it
    stays so until its function ends: no later statement gives the name another value. `deep`: of those, objects of any
    kind count, else tensors and flat containers only: after training its optimizer is done with, too, which is nobody's
    mistake."""
    found: list[Any] = []
    baseline = _baseline()
    if baseline is None:
        return found
    for frame, thread in frames:
        # Another thread's function may be in C++ code that shares its tensors' memory and counts on it without the GIL:
        # PyTorch ends the process when the object of a storage, which alone() asks for, goes at that moment.
        if thread != 0:
            continue
        code = frame.f_code
        if not is_user_file(code.co_filename):
            continue
        live = liveness_of(code)
        if live is None or (live.module and frame.f_globals is not frame.f_locals):
            continue
        read_later, set_later = live.live_after(frame.f_lasti), live.changed_after(frame.f_lasti)
        values = frame_locals(frame)
        if live.module:  # the namespace itself holds the object, our copy holds it again
            values = {name: values[name] for name in live.names if name in values}
        counts = _owner_counts(values)
        for name in live.names:
            if name in read_later or name not in values:
                continue
            if counts[name] > baseline:
                continue
            value = values[name]
            stays = name not in set_later
            total, count = _bytes_alone(value, tensor_bytes, alone, deep and stays)
            if total and sys.version_info >= (3, 14) and _frames_holding(frames, value) > 1:
                total = 0
            value = None
            if total and not read_in_statement(code.co_filename, frame.f_lineno, name):
                found.append((total, count, name, frame, stays, live.module))
        values.clear()
    found.sort(key=lambda item: -item[0])
    return found


def _bytes_alone(
    value: Any, tensor_bytes: Callable[[Any], int], alone: Callable[[Any], bool], deep: bool
) -> tuple[int, int]:
    """(bytes, tensors) that go when the only reference to `value` goes: those of a tensor, of a flat list, tuple or
    dict, or, `deep`, of all tensors below an object each of which, with everything on the way, is held once."""
    size = tensor_bytes(value)
    if size:
        return (size, 1) if alone(value) else (0, 0)
    collector = real_gc()
    total = count = 0
    left = _MOST_BELOW
    todo = [value] if collector.is_tracked(value) and (deep or id(type(value)) in _FLAT) else []
    while todo:
        owner = todo.pop()
        left -= _length(owner)
        if left < 0:
            return 0, 0
        parts = collector.get_referents(owner)
        for position in range(len(parts)):
            # references: the owner's, that of `parts`, getrefcount's argument
            if sys.getrefcount(parts[position]) > 3:
                continue
            size = tensor_bytes(parts[position])
            if size:
                if alone(parts[position]):
                    total += size
                    count += 1
            elif deep and collector.is_tracked(parts[position]):
                todo.append(parts[position])
        parts.clear()
    return total, count


_MOST_BELOW = 30000  # objects that are looked at for one local


def _length(o: Any) -> int:
    """How many parts an object may have: containers can have millions."""
    line = line_of(type(o))
    for kind in (dict, list, tuple, set, frozenset, collections.deque):
        if id(kind) in line:
            return kind.__len__(o) + 8
    return 8
