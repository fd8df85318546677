# The ways from one object to another that a walk tells apart, where a walk starts, and what it does not look into.

from __future__ import annotations

import functools
import types

from .plain_types import ids

ROOT, ATTRIBUTE, INDEX, KEY, LOCAL, CLOSURE, DEFAULT, MEMBER, ANY, GRAD = range(10)
ATOMS = frozenset(
    id(t)
    for t in (
        int,
        float,
        complex,
        bool,
        str,
        bytes,
        bytearray,
        type(None),
        type(Ellipsis),
        type(NotImplemented),
        range,
        slice,
        types.CodeType,
        types.BuiltinFunctionType,
        type(len),
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        type(str.join),
        type(object.__init__),
        type("".join),
        memoryview,
        property,
    )
)
SUSPENDED = {  # by the id of the type
    id(types.GeneratorType): "gi_frame",
    id(types.CoroutineType): "cr_frame",
    id(types.AsyncGeneratorType): "ag_frame",
}
WRITTEN = ids(str, int, bool)  # keys that stand in a path as they are
LRU = type(functools.lru_cache(maxsize=1)(len))


class Root:
    """Where a walk starts: a namespace of a module, or the locals of a frame."""

    __slots__ = ("name", "file", "function", "first_line", "frame_local", "library")

    def __init__(
        self,
        name: str,
        file: str = "",
        function: str = "",
        first_line: int = 0,
        frame_local: bool = False,
        library: bool = False,
    ) -> None:
        self.name, self.file, self.function = name, file, function
        self.first_line, self.frame_local, self.library = first_line, frame_local, library
