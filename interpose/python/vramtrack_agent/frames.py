# Running frames: reading their locals without leaving anything behind.

from __future__ import annotations

import sys
from _thread import get_ident

from .process import is_hidden
from .threads import has_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Tuple

    Running = Tuple[FrameType, int]  # a frame, and the index of its thread


def real_gc() -> Any:
    """The collector itself, also where the script put something else into sys.modules under its name."""
    import gc as imported

    gc: Any = imported
    if type(getattr(gc, "get_objects", None)) is not type(len):
        import importlib.machinery

        spec = importlib.machinery.BuiltinImporter.find_spec("gc")
        import _imp

        if spec is not None:
            gc = _imp.create_builtin(spec)
            _imp.exec_builtin(gc)
    return gc


def all_frames() -> list[Running]:
    """[(frame, thread index)] of all threads, this one first, as 0; innermost first, the agent's own left out. Without a
    GIL of this thread only: the others run on, and CPython does not keep their frames from changing under a reader."""
    found = []
    threads = [sys._getframe()]
    if has_gil():
        ours = get_ident()
        threads.extend(innermost for thread, innermost in sys._current_frames().items() if thread != ours)
    frame: FrameType | None
    for number, frame in enumerate(threads):
        while frame is not None:
            if not is_hidden(frame.f_code):
                found.append((frame, number))
            frame = frame.f_back
    threads.clear()  # the frame of this call is in it: a cycle that would keep all the others
    return found


def calls_module(code: CodeType) -> bool:
    """Whether it is the function in which torch calls an nn.Module."""
    return code.co_name == "_call_impl" and code.co_filename.endswith("/torch/nn/modules/module.py")


def _is_traced() -> bool:
    """Whether a trace or profile function may be running, in any thread: when it returns, the interpreter (up to 3.12)
    stores the snapshot of its frame's locals back into the frame, and what we had emptied would be gone."""
    threading = sys.modules.get("threading")
    hooks = (getattr(threading, "_trace_hook", None), getattr(threading, "_profile_hook", None))
    return sys.gettrace() is not None or sys.getprofile() is not None or hooks != (None, None)


def frame_locals(frame: FrameType, listed: int = 0) -> dict[str, Any]:
    """A copy of a function frame's locals. Leaves no snapshot behind that would keep objects alive (up to 3.12,
    f_locals is a dict that stays in the frame; it is emptied only if the script does not hold it itself). `listed`: 1
    when the analysis has a list of all objects, which holds an older snapshot too."""
    code = frame.f_code
    if sys.version_info >= (3, 13):
        return dict(frame.f_locals)
    if "locals" in code.co_names or _is_traced():
        return {}
    snapshot = frame.f_locals
    if not code.co_flags & 1:  # a module's or class's own namespace
        return dict(snapshot)
    copy = dict(snapshot)
    if sys.getrefcount(snapshot) <= 3 + listed:
        snapshot.clear()
    return copy


def frame_name(frame: FrameType) -> str:
    """How a frame is called in messages: qualified where the version knows it or a first argument self shows it."""
    code = frame.f_code
    name = getattr(code, "co_qualname", None)
    if name is None:
        name = code.co_name
        if code.co_argcount and code.co_varnames[0] in ("self", "cls"):
            owner = frame_self_class(frame)
            if owner:
                name = owner + "." + name
    return name.replace("<locals>.", "")


def frame_self_class(frame: FrameType) -> str | None:
    if sys.version_info >= (3, 11):
        return None
    values = frame_locals(frame)
    first = values.get(frame.f_code.co_varnames[0])
    values.clear()
    if first is None:
        return None
    return first.__name__ if isinstance(first, type) else type(first).__name__
