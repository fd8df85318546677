# Under `vramtrack fit` alone: ends a program that has no optimizer after a few calls of its model. A pass is a call of
# the module with parameters that the program called first, from outside of any module. It is enough when so many
# passes in a row have raised no peak: a generation loop, whose cache grows with each of them, goes on.

from __future__ import annotations

import gc
import sys

from . import native
from .process import door, end_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_passes: dict[str, Any] = {"model": 0, "calm": 0, "heights": -1, "hook": None, "code": None, "optimizer": None}


def watch_passes(torch: Any) -> None:
    modules = sys.modules.get("torch.nn.modules.module")
    register = getattr(modules, "register_module_forward_pre_hook", None)
    call: Any = getattr(torch.nn.Module, "_call_impl", None)
    if register is not None and hasattr(call, "__code__"):
        _passes.update(code=call.__code__, optimizer=sys.modules["torch.optim.optimizer"].Optimizer)
        _passes["hook"] = register(door("on_pass"))


def on_pass(module: Any) -> None:
    """torch is about to call a module."""
    if type(module).__name__ == "OptimizedModule" and type(module).__module__.startswith("torch._dynamo"):
        # Dynamo would meet the hook in what it compiles, and compile something else: the program runs to its end.
        return _no_more_passes()
    if _passes["model"] not in (0, id(module)) or not _is_called_from_outside():
        return
    if not _passes["model"] and not _has_parameters(module):
        return
    _passes["model"] = id(module)
    heights = native.heights()
    calm = _passes["calm"] + 1 if heights <= _passes["heights"] else 0
    _passes.update(calm=calm, heights=heights)
    if calm >= native.stop_after():
        _no_more_passes()
        if not _has_optimizer():  # its steps are counted
            end_now()


def _no_more_passes() -> None:
    if _passes["hook"] is not None:
        _passes["hook"].remove()
        _passes["hook"] = None


def _is_called_from_outside() -> bool:
    frame: FrameType | None = sys._getframe(1)
    calls = 0
    while frame is not None and calls < 2:
        calls += frame.f_code is _passes["code"]
        frame = frame.f_back
    return calls < 2


def _has_parameters(module: Any) -> bool:
    waiting, seen = [module], set()
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        if any(value is not None for value in part.__dict__.get("_parameters", {}).values()):
            return True
        waiting.extend(part.__dict__.get("_modules", {}).values())
    return False


def _has_optimizer() -> bool:
    return any(issubclass(type(one), _passes["optimizer"]) for one in gc.get_objects())
