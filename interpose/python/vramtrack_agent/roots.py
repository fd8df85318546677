# Where a walk starts: the frames that run or wait, the user's modules, then every module.

from __future__ import annotations

import sys
import types

from .code_files import is_user_file, module_file
from .frames import frame_locals, frame_name, real_gc
from .plain_types import dict_of, name_of
from .ways import ATOMS, LOCAL, SUSPENDED, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holders import Walk
    from .frames import Running


def add_frame_roots(walk: Walk, frames: list[Running], user_only: bool = False) -> None:
    """Locals of running frames (user code first), then the globals of the modules that they run in."""
    ordered = sorted(frames, key=lambda item: not is_user_file(item[0].f_code.co_filename))
    spaces = []
    for frame, _ in ordered:
        code = frame.f_code
        user = is_user_file(code.co_filename)
        if user_only and not user:
            continue
        if code.co_flags & 1:
            values = frame_locals(frame)
            root = Root(frame_name(frame) + "()", code.co_filename, code.co_name, code.co_firstlineno, True)
            walk.hide(frame)
            walk.add_namespace(values, root, LOCAL, keep=True)
        if user:
            spaces.append(frame.f_globals)
    for space in spaces:
        add_module_root(walk, space)


def add_library_frame_roots(walk: Walk, frames: list[Running]) -> None:
    """Objects that only frames of a library refer to: those of the user's classes that a framework's training loop
    calls back into, and the framework's own (`self` of a method that is running). Named by their class."""
    by_module: dict[Any, Any] = {}
    for frame, _ in frames:
        code = frame.f_code
        if is_user_file(code.co_filename) or not code.co_flags & 1:
            continue
        values = frame_locals(frame)
        own = values.get("self") if code.co_varnames[:1] == ("self",) else None
        for value in values.values():
            t = type(value)
            if id(t) in ATOMS or id(value) in walk.seen:
                continue
            user = walk.user_type(t)
            module = str(dict_of(t).get("__module__"))
            if user or value is own and _is_framework(walk, value, module):
                name = name_of(t)
                by_module.setdefault((module, not user), {}).setdefault(name, value)
        value = own = None
        values.clear()
    for (module, library), values in sorted(by_module.items(), key=lambda item: item[0][1]):
        walk.add_namespace(values, Root(module, module_file(module), library=library), keep=True)


def _is_framework(walk: Walk, o: Any, module: str) -> bool:
    """Whether an object of a library's class is one that a training loop keeps things in: not torch's own."""
    return (
        not module.startswith(("torch.", "vramtrack"))
        and walk.access.kind(o) == ""
        and ("-packages" in module_file(module))
    )


def add_suspended_roots(walk: Walk) -> None:
    """Frames of suspended generators and coroutines of the user's code: a `for` that drives one has no name for it."""
    for o in real_gc().get_objects():
        attribute = SUSPENDED.get(id(type(o)))
        if attribute is not None and id(o) not in walk.seen:
            frame = getattr(o, attribute)
            if frame is not None and is_user_file(frame.f_code.co_filename):
                code = frame.f_code
                root = Root(frame_name(frame) + "()", code.co_filename, code.co_name, code.co_firstlineno, True)
                walk.hide(o)
                walk.add_namespace(frame_locals(frame), root, LOCAL, keep=True)


def add_module_root(walk: Walk, space: dict[str, Any]) -> None:
    name = space.get("__name__")
    walk.add_namespace(space, Root(str(name), module_file(name)))


def add_user_modules(walk: Walk) -> None:
    main = sys.modules.get("__main__")
    if type(main) is types.ModuleType:
        add_module_root(walk, main.__dict__)
    for name, module in list(sys.modules.items()):
        if type(module) is types.ModuleType:
            file = module_file(name)
            if file and is_user_file(file):
                add_module_root(walk, module.__dict__)


def add_last_exception(walk: Walk) -> None:
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if error is not None:
        walk.add_namespace({"last_traceback": error.__traceback__}, Root("traceback of the last exception"))
    elif getattr(sys, "last_traceback", None) is not None:
        walk.add_namespace({"last_traceback": sys.last_traceback}, Root("traceback of the last exception"))


def add_all_modules(walk: Walk) -> None:
    """The second phase: everything that any module reaches, classes and library internals included."""
    walk.enter_modules = True
    for name, module in list(sys.modules.items()):
        if type(module) is types.ModuleType:
            add_module_root(walk, module.__dict__)
    # what the first phase met but did not enter
    for at in range(len(walk.objects)):
        if type(walk.objects[at]) is type:
            walk.expand(walk.objects[at], at)
