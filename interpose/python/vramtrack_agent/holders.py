# Who holds a tensor: one breadth-first walk forward from the roots (running frames, globals of the user's modules,
# then everything in sys.modules), remembering for each object only where it was first reached from (paths.py). Forward,
# because it names every step, sees running frames and frozen objects, and costs one pass for any number of tensors.

from __future__ import annotations

import collections
import itertools
import time
import types

from . import native
from .code_files import is_user_file, module_file
from .frames import frame_locals, real_gc
from .paths import Paths
from .plain_types import dict_of, ids, line_of, mro_of
from .process import is_hidden, ours
from .ways import (
    ANY,
    ATOMS,
    ATTRIBUTE,
    CLOSURE,
    DEFAULT,
    GRAD,
    INDEX,
    KEY,
    LOCAL,
    LRU,
    MEMBER,
    ROOT,
    SUSPENDED,
    WRITTEN,
    Root,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Iterator

    from .tensors import Access

_ITERATED = ids(dict, list, tuple)
_TABLES = ids(dict, collections.OrderedDict, set, list)
_CHUNK = 4096  # elements between two looks at the clock
_AT_FIRST = 65536  # elements of one container before all others have had their turn


class Deadline:
    """When work inside the program has to end, by the thread's own time. To be asked within a container as well: one
    list may hold more than there is time for."""

    def __init__(self, seconds: float) -> None:
        self.at = time.thread_time() + seconds

    def passed(self) -> bool:
        return time.thread_time() > self.at


class Walk(Paths):
    """The walk's memory. Drop it (clear()) before any I/O: it holds every object that it met."""

    def __init__(self, access: Access, max_objects: int = 3000000, seconds: float = 3.0, wide: bool = True) -> None:
        super().__init__(access)
        self.type_kinds, self.addresses = access.kinds, access.known
        self.referents = real_gc().get_referents
        self.max_objects, self.deadline, self.wide = max_objects, Deadline(seconds), wide
        # Large containers whose first elements have been seen to: (elements, position, kind, index).
        self.begun: list[Any] = []
        self.rich: list[Any] = []  # the same, of those whose elements are tensors, by what was seen
        self.seen: set[int] = set()  # ids
        self.next = 0
        # Positions: of device tensors, in order of discovery; of host tensors with an autograd graph, which may hold
        # device memory; of nn.Modules that no other module holds; of optimizers.
        self.tensors: list[int] = []
        self.histories: list[int] = []
        self.modules: list[int] = []
        self.optimizers: list[int] = []
        self.enter_modules = False  # second phase: library modules and classes too
        self.wanted: set[int] | None = None  # ids still to be found; the walk ends when it is empty
        self.complete = True
        self._user_types: dict[int, bool] = {}

    def clear(self) -> None:
        super().clear()
        for part in (self.tensors, self.histories, self.modules, self.optimizers, self.begun, self.rich, self.seen):
            part.clear()

    def hide(self, o: Any) -> None:
        self.seen.add(id(o))

    def hide_own(self) -> None:
        """What the agent keeps is nobody's."""
        for space in native.own_spaces():
            self.hide(space)

    def add_namespace(self, values: dict[str, Any], root: Root, kind: Any = ATTRIBUTE, keep: bool = False) -> None:
        """A dict of names as a root. `keep`: the dict is a copy that only this walk may hold."""
        if not keep and id(values) in self.seen:
            return
        self.seen.add(id(values))
        at = self.append(values, -1, ROOT, None)
        self.roots[at] = root
        for name in list(values):
            if type(name) is str and not (kind == ATTRIBUTE and name.startswith("__")):
                self._reach(values.get(name), at, kind, name)

    def run(self, at_most: int | None = None) -> None:
        """Walks until nothing is left, everything wanted is found, a bound is met, or `at_most` objects were seen to."""
        objects = self.objects
        checks = 0
        while self.next < len(objects) or self.begun or self.rich:
            if self.rich:
                self._elements(*self.rich.pop(0))
            elif self.next == len(objects):
                self._elements(*self.begun.pop(0))
            else:
                at = self.next
                self.next += 1
                if at not in self.roots:
                    self.expand(objects[at], at)
            checks += 1
            if checks & 1023 == 0 and (len(objects) > self.max_objects or self.deadline.passed()):
                self.complete = False
            if not self.complete:
                return
            if self.wanted is not None and not self.wanted or checks == at_most:
                return

    def _reach(self, o: Any, parent: int, kind: Any, label: Any) -> None:
        of_type, key = id(type(o)), id(o)
        if of_type in ATOMS:
            return
        if key in self.seen:
            named = kind == ATTRIBUTE or kind == CLOSURE
            if named and self.type_kinds.get(of_type) == "t" and len(self.others) < 10000:
                self.others.setdefault(key, []).append((parent, kind, label))
            return
        self.seen.add(key)
        at = len(self.objects)
        self.objects.append(o)
        self.parents.append(parent)
        self.kinds.append(kind)
        self.labels.append(label)
        what = self.type_kinds.get(of_type)
        if what == "":
            return
        if what is None:
            what = self.access.kind(o)
        if what == "t":
            if self.wanted is not None:
                self.wanted.discard(key)
            if key in self.addresses or self.access.address(o):
                self.tensors.append(at)
            elif self.access.graph(o) is not None:
                self.histories.append(at)
        elif what == "m":
            above = self.parents[at]
            if above < 0 or self.access.kind(self.objects[above]) != "m":
                self.modules.append(at)
        elif what == "o":
            self.optimizers.append(at)

    def user_type(self, t: Any) -> bool:
        known = self._user_types.get(id(t))
        if known is None:
            name = dict_of(t).get("__module__")
            file = module_file(name)
            known = name == "__main__" or (bool(file) and is_user_file(file))
            self._user_types[id(t)] = known
        return known

    def expand(self, o: Any, at: int) -> None:
        t = type(o)
        reach = self._reach
        if t is list or t is tuple or t is collections.deque:
            self._elements(iter(o), at, INDEX)
        elif t is dict:
            self._expand_dict(o, at)
        elif t is set or t is frozenset:
            self._elements(iter(o), at, MEMBER)
        elif t is types.FunctionType:
            self._expand_function(o, at)
        elif t is types.MethodType:
            reach(o.__self__, at, ATTRIBUTE, "__self__")
            reach(o.__func__, at, ATTRIBUTE, "__func__")
        elif t is types.CellType:
            try:
                reach(o.cell_contents, at, CLOSURE, None)
            except ValueError:
                pass
        elif id(t) in SUSPENDED:
            frame = getattr(o, SUSPENDED[id(t)])
            if frame is not None and not is_hidden(frame.f_code):
                self._expand_frame(frame, at)
        elif t is types.FrameType:
            self._expand_frame(o, at)
        elif t is types.TracebackType:
            reach(o.tb_frame, at, ANY, None)
            reach(o.tb_next, at, ANY, None)
        elif t is LRU:
            for value in self.referents(o):
                if type(value) is dict and value is not o.__dict__:  # key to result, when it has no bound
                    self.seen.add(id(value))
                    self._elements(iter(value.values()), at, LRU)
                elif type(value) is not types.FunctionType:
                    reach(value, at, KEY, LRU)
                else:
                    reach(value, at, ATTRIBUTE, "__wrapped__")
        elif t is types.ModuleType:
            if self.enter_modules:
                reach(o.__dict__, at, ATTRIBUTE, "__dict__")
        elif t is type or id(type) in line_of(t):
            if self.enter_modules or self.user_type(o):
                for name, value in list(dict_of(o).items()):
                    reach(value, at, ATTRIBUTE, name)
        else:
            self._expand_instance(o, t, at)

    def _elements(self, elements: Iterator[Any], at: int, kind: Any, start: int = 0) -> None:
        """Reaches what an iterator yields, as long as there is time. Of a large container the rest comes after all that
        is not in it: elements that cannot hold anything must not use up the time of those that do."""
        reach = self._reach
        end = start + (_AT_FIRST if start == 0 else 16 * _CHUNK)
        while start < end:
            try:
                chunk = list(itertools.islice(elements, _CHUNK))
            except RuntimeError:  # it has changed since
                return
            if kind is KEY:
                for key, value in chunk:
                    reach(value, at, KEY, key if id(type(key)) in WRITTEN else type(key))
                    if type(key) is not str:
                        reach(key, at, ANY, None)
            elif kind is LRU:
                for value in chunk:
                    reach(value, at, KEY, LRU)
            elif not ATOMS.issuperset(map(id, map(type, chunk))):
                if kind is INDEX:
                    for i, value in enumerate(chunk, start):
                        reach(value, at, INDEX, i)
                else:
                    for value in chunk:
                        reach(value, at, MEMBER, None)
            if len(chunk) < _CHUNK:
                return
            start += _CHUNK
            if self.deadline.passed():
                self.complete = False
                return
        last = type(chunk[-1][1] if kind is KEY else chunk[-1])
        (self.rich if self.type_kinds.get(id(last)) == "t" else self.begun).append((elements, at, kind, start))

    def _expand_dict(self, o: Any, at: int) -> None:
        self._elements(iter(dict.items(o)), at, KEY)

    def _expand_function(self, o: Any, at: int) -> None:
        code = o.__code__
        if o.__closure__:
            for name, cell in zip(code.co_freevars, o.__closure__):
                self.seen.add(id(cell))
                try:
                    self._reach(cell.cell_contents, at, CLOSURE, name)
                except ValueError:
                    pass
        if o.__defaults__:
            names = code.co_varnames[: code.co_argcount][-len(o.__defaults__) :]
            for name, value in zip(names, o.__defaults__):
                self._reach(value, at, DEFAULT, name)
        if o.__kwdefaults__:
            for name, value in o.__kwdefaults__.items():
                self._reach(value, at, DEFAULT, name)
        if o.__dict__:
            for name, value in list(o.__dict__.items()):
                self._reach(value, at, ATTRIBUTE, name)

    def _expand_frame(self, frame: FrameType, at: int) -> None:
        if frame.f_code.co_flags & 1:
            values = frame_locals(frame)
            for name, value in values.items():
                self._reach(value, at, LOCAL, name)
            values.clear()

    def _expand_instance(self, o: Any, t: Any, at: int) -> None:
        what = self.access.kind(o)
        if what == "t":
            self._expand_tensor(o, at)
            return
        if what == "o" and not self.wide:
            self._expand_hooks(o, at)
            return
        line = line_of(t)
        if id(dict) in line:
            self._expand_dict(o, at)
        elif id(list) in line or id(tuple) in line:
            self._elements(list.__iter__(o) if id(list) in line else tuple.__iter__(o), at, INDEX)
        elif id(BaseException) in line:
            for name in ("__traceback__", "__context__", "__cause__", "args"):
                self._reach(BaseException.__dict__[name].__get__(o), at, ATTRIBUTE, name)
        values = None
        for base in mro_of(t):
            own = dict_of(base)
            slot = own.get("__dict__")
            if values is None and type(slot) is types.GetSetDescriptorType:
                try:
                    values = slot.__get__(o)
                except ours():
                    values = None
            if "__slots__" in own:
                for name, slot in own.items():
                    if type(slot) is types.MemberDescriptorType:
                        try:
                            self._reach(slot.__get__(o), at, ATTRIBUTE, name)
                        except ours():
                            pass
        if type(values) is dict:
            self.seen.add(id(values))
            for name, value in list(values.items()):
                if what == "m" and name in ("_parameters", "_buffers", "_modules") and type(value) is dict:
                    self.seen.add(id(value))
                    for key, inner in list(value.items()):
                        self._reach(inner, at, ATTRIBUTE, key)
                elif what == "m" and id(type(value)) in _TABLES and not value:
                    continue  # the many empty hook tables
                else:
                    self._reach(value, at, ATTRIBUTE, name)
        elif self.wide and not _ITERATED.intersection(line):
            for value in self.referents(o):
                self._reach(value, at, ANY, None)

    def _expand_hooks(self, optimizer: Any, at: int) -> None:
        """What the hooks of an optimizer refer to is the script's data."""
        values = object.__getattribute__(optimizer, "__dict__")
        for name in list(values):
            if type(name) is str and name.endswith("_hooks"):
                self._reach(values[name], at, ATTRIBUTE, name)

    def _expand_tensor(self, o: Any, at: int) -> None:
        try:
            if self.access.is_leaf(o):
                gradient = self.access.grad(o)
                if gradient is not None:
                    self._reach(gradient, at, GRAD, "grad")
        except ours():
            pass
        for value in self.referents(o):
            if type(value) is dict:
                self.seen.add(id(value))
                for name, inner in list(value.items()):
                    self._reach(inner, at, ATTRIBUTE, name)
