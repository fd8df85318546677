# Tensors by who holds them: groups of one holder expression, how far their graphs reach, and where each group grows.

from __future__ import annotations

import collections
import itertools
import types

from . import native
from .code_files import is_user_file, module_file
from .graph import walk_graph
from .growth import growth_line, limited_in_source, line_of_hook
from .paths import pattern
from .plain_types import line_of, name_of
from .ways import (
    ANY,
    ATTRIBUTE,
    CLOSURE,
    DEFAULT,
    GRAD,
    INDEX,
    KEY,
    LOCAL,
    LRU,
    MEMBER,
    SUSPENDED,
    Root,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple

    from .graph import Span
    from .holders import Walk
    from .tensors import Access

    # variable, file, line, function, whether the line adds to it, class that it is an attribute of, whether it is limited
    Place = Tuple[str, str, int, str, bool, str, bool]

_lines: dict[Any, Any] = {}  # question of where_it_grows() -> its answer


class Group:
    """Tensors with one holder expression, indices blanked."""

    __slots__ = ("text", "at", "last", "count", "bytes", "graph", "starts", "span", "bounded", "seen")

    def __init__(self, text: str, at: int) -> None:
        self.text, self.at, self.last = text, at, at
        self.count = self.bytes = self.graph = 0
        self.starts: list[Any] = []  # nodes of their graphs
        self.span: Span | None = None
        self.bounded = 0
        self.seen: set[int] = set()  # addresses: several tensors may show the same memory


def holder_groups(access: Access, walk: Walk) -> dict[str, Group]:
    """Groups the tensors that a walk found, module parameters, buffers and gradients left out."""
    places: dict[
        Any, Any
    ] = {}  # (parent, kind) of elements of a container, (position, kind) of others -> Group, None: left out
    groups: dict[Any, Any] = {}
    kinds, parents, objects = walk.kinds, walk.parents, walk.objects
    for at in itertools.chain(walk.tensors, walk.histories):
        kind = kinds[at]
        element = kind in (INDEX, KEY, MEMBER)
        place = (parents[at], kind) if element else (at, kind)
        group = places.get(place, place)
        if group is place:
            group = places[place] = _group_of(access, walk, at, groups)
        if group is None:
            continue
        tensor = objects[at]
        group.last = at
        group.count += 1
        address = access.address(tensor)
        if address not in group.seen:
            group.seen.add(address)
            group.bytes += access.bytes(tensor)
        node = access.graph(tensor)
        if node is not None:
            group.graph += 1
            if len(group.starts) < 2000:
                group.starts.append(node)
    return groups


def _group_of(access: Access, walk: Walk, at: int, groups: dict[str, Group]) -> Group | None:
    """The group of a tensor, or None for what is a module's or an optimizer's."""
    kind, owner = walk.kinds[at], walk.objects[walk.parents[at]]
    if kind == GRAD or walk.below_optimizer(at):
        return None
    if access.kind(owner) == "m":
        values = object.__getattribute__(owner, "__dict__")
        label = walk.labels[at]
        if label in (values.get("_parameters") or ()):
            return None
        if label in (values.get("_buffers") or ()) and access.graph(walk.objects[at]) is None:
            return None  # a buffer that was assigned the result of a forward pass carries its graph from step to step
    text = pattern(walk.describe(at))
    if kind == KEY and _is_collection(owner):
        text = text[: text.rindex("[")] + "[]"
    group = groups.get(text)
    if group is None:
        group = groups[text] = Group(text, at)
        group.bounded = _bound(owner) if kind in (INDEX, KEY) else 0
    return group


def _bound(container: Any) -> int:
    """The size that a container cannot exceed, or 0."""
    line = line_of(type(container))
    if id(collections.deque) in line:
        return collections.deque.maxlen.__get__(container) or 0
    if id(LRU) in line:
        return LRU.cache_info(container).maxsize or 0
    return 0


def _is_collection(mapping: Any) -> bool:
    """Whether a mapping has so many keys that they are data, not names."""
    return id(dict) in line_of(type(mapping)) and dict.__len__(mapping) > 16


def measure_graphs(access: Access, groups: dict[str, Group], budget: int) -> None:
    """Walks the graphs of the groups, largest number of tensors first, within one budget of nodes."""
    for group in sorted(groups.values(), key=lambda g: -g.count):
        if group.starts and budget > 100:
            group.span = walk_graph(access, group.starts, budget)
            budget -= group.span.nodes // 2
        group.starts = []
    for text, group in list(groups.items()):  # host tensors
        if not group.bytes and (group.span is None or not group.span.on_device):
            del groups[text]


def _common_way(walk: Walk, at: int, last: int | None) -> list[int]:
    """The way to a tensor, or to what two of them have in common."""
    way = walk.path(at)
    if last is None or last == at:
        return way
    common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(way, walk.path(last))))
    return way[: max(common, 2)]


def where_it_grows(walk: Walk, at: int, last: int | None = None) -> Place:
    """(variable, file, line of the statement that makes it grow, function, whether that statement adds to it, class
    that it is an attribute of, whether the source limits it) of a holder.

    Of a group of tensors (`at` its first, `last` its last) what grows is the container at which their ways part:
    `errors` of `errors[0].__traceback__... local batch` and `errors[7]. ...`. Parts of library objects are not named:
    `results`, not `results.queue`."""
    way = _common_way(walk, at, last)
    root = walk.roots.get(way[0]) or Root("?")
    file, function, first, name, key, of_class = root.file, root.function, root.first_line, "", None, ""
    shown = way[min(1, len(way) - 1)]
    for position in way[1:]:
        kind, label = walk.kinds[position], walk.labels[position]
        source, owner = walk.objects[walk.parents[position]], None
        if kind in (INDEX, KEY, MEMBER, ANY):
            if kind == KEY and type(label) is str and key is None:
                key, shown = label, position
            continue
        if kind in (CLOSURE, DEFAULT) and type(source) is types.FunctionType:
            code = source.__code__
            file, function, first = code.co_filename, code.co_name, code.co_firstlineno
        elif kind == LOCAL and walk.parents[position] not in walk.roots:
            frame = source if type(source) is types.FrameType else None
            if id(type(source)) in SUSPENDED:
                frame = getattr(source, SUSPENDED[id(type(source))])
            if frame is None or not is_user_file(frame.f_code.co_filename):
                continue
            file, function, first = frame.f_code.co_filename, frame.f_code.co_name, frame.f_code.co_firstlineno
        elif kind == ATTRIBUTE and walk.parents[position] not in walk.roots:
            owner = source if id(type) in line_of(type(source)) else type(source)  # a class, of any metaclass
            if walk.user_type(owner) or root.library:
                file, function, first = module_file(owner.__module__) or file, "", 0
            elif name and walk.access.kind(source) != "m":
                continue
        name, key, shown = str(label), None, position
        of_class = name_of(owner) if owner is not None else ""
    question = (file, function, first, name, key, of_class)
    found = _lines.get(question)
    if found is None:
        found = _growth(*question) + (bool(file and name) and limited_in_source(file, function, first, name, of_class),)
        _lines[question] = found
    variable = pattern(walk.text(shown))
    for word in (" closure ", " default ", " local "):
        if word in variable:
            variable = variable[variable.rindex(word) + len(word) :]
    place = (file, found[0], found[1]) if found[1] else _hooked_at(walk, at, file) or (file, found[0], found[1])
    return variable, place[0], place[1], root.name if root.frame_local else "", place[2], of_class, found[2]


def _file_of_function(o: Any) -> str:
    if type(o) is types.MethodType:
        o = o.__func__
    return o.__code__.co_filename if type(o) is types.FunctionType else ""


def _hooked_at(walk: Walk, at: int, file: str) -> tuple[str, int, bool] | None:
    """The call that registered the hook of a module or an optimizer which leads to a tensor: in the file of the hook's
    function, or in that of the variable."""
    way = walk.path(at)
    for number, position in enumerate(way):
        label = walk.labels[position]
        if type(label) is not str or not label.endswith("_hooks") or walk.kinds[position] != ATTRIBUTE:
            continue
        if walk.access.kind(walk.objects[walk.parents[position]]) not in ("m", "o"):
            continue
        for one in [*map(_file_of_function, (walk.objects[at] for at in way[number:])), file]:
            line = line_of_hook(one, label) if one and is_user_file(one) else 0
            if line:
                return one, line, True
    return None


def _growth(file: str, function: str, first: int, name: str, key: Any = None, of_class: str = "") -> tuple[int, bool]:
    return growth_line(file, function, first, name, key, of_class) if file and name else (0, False)


def group_entries(walk: Walk, groups: dict[str, Group], top: int = 12) -> list[dict[str, Any]]:
    """The parts `holder` of the groups that matter: most bytes, most tensors, widest graphs."""
    chosen = {}
    for rank in (
        lambda g: -g.bytes,
        lambda g: -g.count,
        lambda g: -(len(g.span.steps) if g.span else 0),
        lambda g: -(g.span.nodes if g.span else 0),
    ):
        for group in sorted(groups.values(), key=rank)[:top]:
            chosen[group.text] = group
    entries = []
    for group in chosen.values():
        found, text = where_it_grows(walk, group.at, group.last), group.text
        if group.span is not None and len(group.span.steps) > 2 and not found[4]:
            # `average = meter.update(loss)` is one more name of what `self.average` accumulates.
            for at in walk.other_ways(group.at):
                other = where_it_grows(walk, at)
                if other[4]:
                    found, text = other, pattern(walk.describe(at))
                    break
        variable, file, line, function, grows, of_class, limited = found
        entry = {
            "h": text,
            "v": variable,
            "f": file,
            "l": line,
            "fn": function,
            "c": group.count,
            "b": group.bytes,
            "g": group.graph,
        }
        if grows:
            entry["k"] = True
        if limited:
            entry["lim"] = True
        if of_class:
            entry["o"] = of_class
        bound = group.bounded or _bound(walk.objects[_common_way(walk, group.at, group.last)[-1]])
        if bound:
            entry["max"] = bound
        span = group.span
        if span is not None:
            entry["nodes"], entry["all"] = span.nodes, span.complete
            entry["steps"] = len(span.steps)
            if len(span.steps) > 2:
                native.suspect(1)
            if span.steps:
                entry["s0"], entry["s1"] = min(span.steps), max(span.steps)
            entry["uses"] = span.most_used
            if span.sequence:
                entry["seq"], entry["seqb"] = span.sequence, sum(span.sequence_saved.values())
            repeated = sorted(span.types.items(), key=lambda item: -item[1])[:3]
            entry["types"] = repeated
        entries.append(entry)
    return entries
