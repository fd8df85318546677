# Tensors that only a reference cycle keeps alive: unreachable from every root, and every reference to the objects
# around them comes from among those objects. The same arithmetic as the collector's, on the unreached part only.

from __future__ import annotations

import collections
import sys
import types

from .code_files import is_user_file, module_file
from .frames import frame_name
from .plain_types import ids
from .process import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator

    from .tensors import Access

_CONTAINERS = ids(dict, list, tuple, set)


def in_parts(objects: list[Any], size: int = 4096) -> Iterator[list[Any]]:
    """Lists of some objects each, to ask the collector about many at a time."""
    for start in range(0, len(objects), size):
        yield objects[start : start + size]


def can_be_met(access: Access, tensors: list[Any], wanted: set[int], objects: list[Any], collector: Any) -> set[int]:
    """Those of the ids `wanted` that a walk can meet: a Python object refers to the tensor, or it is a gradient. The
    others are kept by C++ alone (saved for backward), and no walk needs to look for them."""
    found = set()
    for part in in_parts(objects):
        found |= wanted.intersection(map(id, collector.get_referents(*part)))
    for tensor in tensors:
        if access.requires_grad(tensor) and access.is_leaf(tensor):
            found.add(id(access.grad(tensor)))
    return found & wanted


def garbage_tensors(
    tensors: list[Any],
    wanted: set[int],
    reached: set[int],
    objects: list[Any],
    lists: Iterable[list[Any]],
    collector: Any,
    limit: int = 500000,
) -> list[tuple[Any, tuple[str, str, str, str]]]:
    """[(tensor, (loop, closing attribute, class, way to the tensor))] for those tensors with an id in `wanted` that are
    garbage. `lists`: those of the analysis; what they hold is not held by the script."""
    lost = [t for t in tensors if id(t) in wanted]
    suspects = {key: o for key, o in zip(map(id, objects), objects) if key not in reached}
    if not lost or len(suspects) > limit:
        return []
    referents = collector.get_referents
    counts: Any = collections.Counter()  # id -> references from among the suspects, and from the analysis
    for part in in_parts(list(suspects.values())):
        counts.update(map(id, referents(*part)))
    for held in (objects, lost, *lists):
        counts.update(map(id, held))
    known = {0: object()}
    ours = sys.getrefcount(known[0])  # `suspects` and the argument
    frontier = [key for key in suspects if sys.getrefcount(suspects[key]) - ours - counts[key] > 0]
    counts = None
    alive = set(frontier)
    while frontier:  # whatever a live object refers to is alive
        below: set[Any] = set()
        for part in in_parts(frontier):
            below.update(map(id, referents(*[suspects[key] for key in part])))
        frontier = [key for key in below if key in suspects and key not in alive]
        alive.update(frontier)
    garbage = suspects.keys() - alive
    children = {
        key: [id(x) for x in referents(suspects[key]) if id(x) in garbage] for key in suspects if key in garbage
    }
    parents: dict[int, list[int]] = {}
    for key, inner in children.items():
        for child in inner:
            parents.setdefault(child, []).append(key)
    found = []
    for tensor in lost:
        key = id(tensor)
        if key not in garbage:
            continue
        loop = _cycle_above(key, parents, children, alive)
        if loop:
            found.append((tensor, _chain_text(suspects, loop, referents)))
    suspects.clear()
    lost.clear()
    return found


def _cycle_above(
    key: int, parents: dict[int, list[int]], children: dict[int, list[int]], alive: set[int]
) -> tuple[list[int], list[int]] | None:
    """A path from an object back to itself, followed by the way from it to `key`: ids in order, or None."""
    seen: dict[int, int | None] = {key: None}
    queue = [key]
    for at in queue:
        loop = _path(at, at, children, alive)
        if loop:
            way = [at]
            while (above := seen[way[-1]]) is not None:
                way.append(above)
            return loop, way
        for parent in parents.get(at, ()):
            if parent not in seen:
                seen[parent] = at
                queue.append(parent)
                if len(queue) > 500:
                    return None
    return None


def _path(start: int, goal: int, children: dict[int, list[int]], alive: set[int]) -> list[int] | None:
    seen: dict[int, int | None] = {start: None}
    queue = [start]
    for at in queue:
        for child in children.get(at, ()):
            if child == goal:
                way = [at]
                while (before := seen[way[-1]]) is not None:
                    way.append(before)
                way.reverse()
                return way + [goal]
            if child not in seen and child not in alive and len(seen) < 5000:
                seen[child] = at
                queue.append(child)
    return None


def _chain_text(
    suspects: dict[int, Any], loop_and_way: tuple[list[int], list[int]], referents: Callable[..., list[Any]]
) -> tuple[str, str, str, str]:
    """What to say of a loop and of the way from it to the tensor: (loop as text, `Class.attribute` that closes it,
    class, way as text). Where an instance refers to its own __dict__, the two count as one step."""
    loop, way = loop_and_way
    ring = [suspects[key] for key in loop[:-1]]
    start = 0
    for i, o in enumerate(ring):
        if _class_of_user(o):
            start = i
            break
    ring = ring[start:] + ring[:start]
    steps = _named_steps(ring + ring[:1])
    closing = owner = ""
    for source, name, target in steps:
        if _class_of_user(source) and name and (not closing or id(type(target)) not in _CONTAINERS):
            closing, owner = "%s.%s" % (type(source).__name__, name), type(source).__name__
            if id(type(target)) not in _CONTAINERS:
                break
    text = _steps_text(steps)
    path = _steps_text(_named_steps([suspects[key] for key in way]))
    return text, closing or text.partition(" -> ")[0], owner, path


def _steps_text(steps: list[tuple[Any, str, Any]], most: int = 8) -> str:
    """`Trial.step_function -> method`; frames by their function."""
    text = []
    for source, name, _ in steps[:most]:
        kind = type(source).__name__
        if type(source) is types.FrameType:
            kind = "frame of %s" % frame_name(source)
        text.append(kind + ("." + name if name else ""))
    return " -> ".join(text + ["..."] * (len(steps) > most))


def _class_of_user(o: Any) -> bool:
    t = type(o)
    if t.__module__ == "__main__":
        return True
    file = module_file(t.__module__)
    return bool(file) and is_user_file(file)


def _named_steps(path: list[Any]) -> list[tuple[Any, str, Any]]:
    """[(source, attribute name or "", target)] along a path of objects."""
    steps = []
    i = 0
    while i + 1 < len(path):
        source, target = path[i], path[i + 1]
        values = None
        try:
            values = object.__getattribute__(source, "__dict__") if type(source) is not dict else None
        except ours():
            pass
        name = ""
        if type(values) is dict:
            if values is target and i + 2 < len(path):
                target = path[i + 2]
                i += 1
            for key in list(values):
                if values[key] is target:
                    name = str(key)
        elif type(source) is dict and len(path) - i > 1:
            i += 1
            continue  # an element of a dict: the step into the dict has been named
        steps.append((source, name, target))
        i += 1
    return steps
