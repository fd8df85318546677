# Which module a label of the trace is, and what blocks are for, as long as both live: most programs drop their model
# before they end. Looks at the first steps of each optimizer, at new heights, when memory runs out and at exit.

from __future__ import annotations

import sys
import weakref
from types import FunctionType

from . import native
from .code_files import is_user_file
from .frames import all_frames, calls_module, frame_locals, real_gc
from .holders import Walk
from .plain_types import SEQUENCES, dict_of, ids, mro_of
from .process import ours
from .roles import module_entries, optimizer_values, root_modules
from .roots import add_frame_roots
from .segments import note_segments
from .tensors import Access, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .frames import Running

_NAMESPACES = ids(type, type(sys))
_ROLES = ("parameter", "gradient", "optimizer_state", "buffer", "python")

_stepped: list[Any] = []  # weak references to the optimizers that have made a step


def look_at_roles(optimizer: Any) -> None:
    """An optimizer has made its first or second step: its state and the gradients are there. Or memory has reached a new
    height (`optimizer` is None)."""
    if optimizer is not None:
        if not any(known() is optimizer for known in _stepped):
            _stepped.append(weakref.ref(optimizer))
        optimizers = [optimizer]
    else:
        _stepped[:] = [known for known in _stepped if known() is not None]
        optimizers = [known() for known in _stepped]
    torch = sys.modules["torch"]
    access = Access(torch)
    with guard(torch):
        seen = seen_blocks(access, [], [one for one in optimizers if one is not None], look=True)
    if seen is not None:
        native.fact("seen", seen, 0)
    note_segments(torch)


def seen_blocks(
    access: Access, roots: list[tuple[str, Any]], optimizers: list[Any], look: bool = False
) -> dict[str, Any] | None:
    """The fact `seen`: the modules that are labelled, and blocks with a role, by call site and module.
    `roots`: [(expression, module)] that no other module holds, as far as they are known. `look`: no analysis of every
    tensor goes with it."""
    labels = {}
    types = {}
    number = 1
    while found := native.label(number):
        if found[0]:
            labels[found[0]] = number
            types[number] = found[1]
        number += 1
    variables = _variables(access)
    if not roots:  # what a variable names; where that does not lead to all labels, every module
        modules = {id(module): module for _, module in variables.values()}
        reached = {id(m) for root in modules.values() for _, m in module_entries(access, root, "")}
        if not reached.issuperset(labels):
            objects = real_gc().get_objects()
            modules = {id(o): o for o in objects if access.kind(o) == "m"}
            objects.clear()
        roots = [("", root) for root in root_modules(access, list(modules.values()))]
        modules.clear()
    named = _Named(access, {key: name for key, (name, _) in variables.items()})
    variables.clear()
    for text, root in roots:
        named.add(text, root)
    entries = [
        (number, named.of[address])
        for address, number in labels.items()
        if address in named.of and named.type_of[address] == types[number]
    ]
    blocks = _Blocks(access)
    for _, root in roots:
        for _, module in module_entries(access, root, ""):
            values = object.__getattribute__(module, "__dict__")
            at = named.of.get(id(module), -1)
            for parameter in list((values.get("_parameters") or {}).values()):
                blocks.add_parameter(parameter, at)
            for buffer in list((values.get("_buffers") or {}).values()):
                blocks.add(buffer, 3, at)
    for optimizer in optimizers:
        values = object.__getattribute__(optimizer, "__dict__")
        for group in values.get("param_groups") or ():
            for parameter in group.get("params") or ():
                blocks.add_parameter(parameter, -1)
        for _, parameter, value in optimizer_values(optimizer):
            blocks.add(value, 2, blocks.module_of.get(parameter, -1))
    if look:
        for tensor in _held(access):
            blocks.add(tensor, 4, -1)
    rows = blocks.rows()
    if not entries and not rows:
        return None
    return {
        "t": native.ticks(),
        "roots": named.root_texts,
        "modules": named.paths,
        "labels": entries,
        "blocks": rows,
    }


def _is_receiver(code: Any, variable: str, value: Any) -> bool:
    """Whether the variable is what the method of this code was called on: `self`, however the program calls it."""
    if variable == "self":
        return True
    if not code.co_argcount or code.co_varnames[0] != variable:
        return False
    for parent in mro_of(type(value)):
        method = dict_of(parent).get(code.co_name)
        if type(method) is FunctionType and method.__code__ is code:
            return True
    return False


def _variables(access: Access) -> dict[int, tuple[str, Any]]:
    """id of a module -> (what a global or a running frame calls it, the module)."""
    found: dict[Any, Any] = {}

    def name(label: str, value: Any, deep: bool) -> None:
        kind = access.kind(value)
        if kind == "m":
            found.setdefault(id(value), (label, value))
        elif deep and id(type(value)) in SEQUENCES and len(value) <= 64:
            for i, item in enumerate(value):
                name("%s[%d]" % (label, i), item, False)
        elif deep and type(value) is dict and len(value) <= 64:
            for key, item in list(value.items()):
                if type(key) is str:
                    name("%s['%s']" % (label, key), item, False)
        elif deep and kind == "":
            try:
                attributes = object.__getattribute__(value, "__dict__")
            except ours():
                return
            if type(attributes) is dict and id(type(value)) not in _NAMESPACES:
                for key, item in list(attributes.items()):
                    if type(key) is str:
                        name(label + "." + key if label else key, item, False)

    def of_space(space: dict[str, Any]) -> None:
        for variable, value in list(space.items()):
            if type(variable) is str and not variable.startswith("__"):
                name(variable, value, True)

    main = sys.modules.get("__main__")
    spaces: list[Any] = [] if main is None else [main.__dict__]
    frames = [frame for frame, _ in reversed(all_frames()) if is_user_file(frame.f_code.co_filename)]
    for frame in frames:
        if not any(frame.f_globals is space for space in spaces):
            spaces.append(frame.f_globals)
    # A global of the program first: it names the module at every look, a local only while its function runs.
    for space in spaces[:1]:
        of_space(space)
    for frame in frames:
        code = frame.f_code
        if code.co_flags & 1:
            values = frame_locals(frame)
            for variable, value in values.items():
                receiver = _is_receiver(code, variable, value)
                if not receiver or access.kind(value) != "m":  # a method of the module: it has a better name
                    name("" if receiver else variable, value, True)
            values.clear()
    frames.clear()
    for space in spaces[1:]:
        of_space(space)
    spaces.clear()
    return found


def _held(access: Access) -> list[Any]:
    """The tensors that the program's own variables lead to: caches, batches, results. Not those of a running model's
    forward(), which are about to go."""
    outside: dict[int, list[Running]] = {}
    for frame, thread in all_frames():  # innermost first
        if calls_module(frame.f_code):
            outside.pop(thread, None)
        else:
            outside.setdefault(thread, []).append((frame, thread))
    walk = Walk(access, max_objects=20000, seconds=0.01, wide=False)
    walk.hide_own()
    add_frame_roots(walk, [one for frames in outside.values() for one in frames], user_only=True)
    outside.clear()
    walk.run()
    tensors = [walk.objects[at] for at in walk.tensors]
    walk.clear()
    return tensors


class _Named:
    """id of a module -> where `paths` names it."""

    def __init__(self, access: Access, variables: dict[int, str]) -> None:
        self.access, self.variables = access, variables
        self.of: dict[Any, Any] = {}
        self.type_of: dict[Any, Any] = {}
        self.root_texts: list[Any] = []
        self.paths: list[Any] = []

    def add(self, text: str, root: Any) -> None:
        if id(root) in self.of:
            return
        number = len(self.root_texts)
        entries = module_entries(self.access, root, "")
        variable = self.variables.get(id(root), "")  # which can be another one at another look
        self.root_texts.append((text, type(root).__name__, len(entries) > 1, variable, id(root)))
        for path, module in entries:
            if id(module) not in self.of:
                self.of[id(module)] = len(self.paths)
                self.type_of[id(module)] = id(type(module))
                self.paths.append((number, path))


class _Blocks:
    """Blocks by what they are for, added up for each call site, role and module."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.done: set[Any] = set()
        self.sums: dict[Any, Any] = {}  # (site, role, module) -> [blocks, bytes, first birth, last birth]
        self.module_of: dict[Any, Any] = {}  # id of a parameter -> its module

    def add_parameter(self, parameter: Any, module: int) -> None:
        if parameter is None or self.access.kind(parameter) != "t":
            return
        self.module_of.setdefault(id(parameter), module)
        self.add(parameter, 0, module)
        if self.access.is_leaf(parameter):
            self.add(self.access.grad(parameter), 1, module)

    def add(self, tensor: Any, role: int, module: int) -> None:
        if tensor is None or self.access.kind(tensor) != "t":
            return
        address = self.access.address(tensor)
        if not address or address in self.done:
            return
        self.done.add(address)
        found = native.block(address, self.access.device_index(tensor))
        if not found:
            return
        site, birth, size = found
        known = self.sums.get((site, role, module))
        if known is None:
            self.sums[(site, role, module)] = [1, size, birth, birth]
        else:
            known[0] += 1
            known[1] += size
            known[2] = min(known[2], birth)
            known[3] = max(known[3], birth)

    def rows(self) -> list[tuple[Any, ...]]:
        return [
            (site, _ROLES[role], module if module >= 0 else None, *values)
            for (site, role, module), values in self.sums.items()
        ]
