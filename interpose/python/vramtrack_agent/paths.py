# What a walk reached, and by which way: for each object its parent and the step that leads from there to it, from which
# follows the expression that a reader of the program's code knows it by.

from __future__ import annotations

import re

from .plain_types import name_of
from .ways import ATTRIBUTE, CLOSURE, DEFAULT, GRAD, INDEX, KEY, LOCAL, MEMBER, WRITTEN, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tensors import Access


class Paths:
    """Four lists with one entry for each object; its position in them stands for it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.objects: list[Any] = []
        self.parents: list[int] = []
        self.kinds: list[Any] = []
        self.labels: list[Any] = []
        self.roots: dict[int, Root] = {}  # by position
        # Further ways to a tensor, by its id: (parent, kind, label), through an attribute or a closure.
        self.others: dict[int, list[Any]] = {}
        self._texts: dict[int, str] = {}  # expressions, by position
        self._below: dict[int, bool] = {}  # whether it lies below an optimizer, by position

    def clear(self) -> None:
        for part in (self.objects, self.parents, self.kinds, self.labels):
            part.clear()
        for table in (self.roots, self.others, self._texts, self._below):
            table.clear()

    def append(self, o: Any, parent: int, kind: Any, label: Any) -> int:
        self.objects.append(o)
        self.parents.append(parent)
        self.kinds.append(kind)
        self.labels.append(label)
        return len(self.objects) - 1

    def other_ways(self, at: int) -> list[int]:
        """Positions that stand for the further ways to a tensor. Only once the walk is over."""
        return [self.append(self.objects[at], *way) for way in self.others.get(id(self.objects[at]), ())]

    def path(self, at: int) -> list[int]:
        """Positions from the root (included) to `at`."""
        way = [at]
        while self.parents[way[-1]] >= 0:
            way.append(self.parents[way[-1]])
        way.reverse()
        return way

    def below_optimizer(self, at: int) -> bool:
        """Whether the way to `at` leads through an optimizer, but for its hooks: its state, not the script's data."""
        parent = self.parents[at]
        if parent < 0:
            return False
        if self.access.kind(self.objects[parent]) == "o":
            label = self.labels[at]
            return not (type(label) is str and label.endswith("_hooks"))
        known = self._below.get(parent)
        if known is None:
            known = self._below[parent] = self.below_optimizer(parent)
        return known

    def root(self, at: int) -> Root:
        return self.roots.get(self.path(at)[0]) or Root("?")

    def text(self, at: int) -> str:
        """The expression that a reader of the code knows: `losses[3]`, `self.cache['x']`, `fn closure big`."""
        parent = self.parents[at]
        if parent < 0:
            return ""
        known = self._texts.get(at)
        if known is None:
            before = self.text(parent) if len(self._texts) < 2000000 else ""
            known = self._texts[at] = (before + self._step(at, before, parent))[:200]
        return known

    def _step(self, at: int, before: str, parent: int) -> str:
        kind, label = self.kinds[at], self.labels[at]
        if kind == ATTRIBUTE or kind == GRAD:
            return "." + str(label) if before else str(label)
        if kind == INDEX:
            return "[%d]" % label
        if kind == KEY:
            return "[%s]" % (repr(label) if id(type(label)) in WRITTEN else "<%s>" % name_of(label))
        if kind == LOCAL:
            return (" local " if before else "") + str(label)
        if kind == CLOSURE:
            return " closure %s" % label if label else ""
        if kind == DEFAULT:
            return " default %s" % label
        if kind == MEMBER:
            return "{}"
        return "<%s>" % type(self.objects[parent]).__name__

    def describe(self, at: int) -> str:
        root = self.root(at)
        return "%s local %s" % (root.name, self.text(at)) if root.frame_local else "%s.%s" % (root.name, self.text(at))


def pattern(text: str) -> str:
    """The same expression for every element of a container: indices and integer keys blanked."""
    return re.sub(r"\[(?:-?\d+|<\w+>)\]", "[]", text)
