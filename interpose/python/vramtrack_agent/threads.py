# What other threads may be in the middle of while the agent looks. Most of torch's objects only change under the GIL, so
# a thread that the agent interrupted left them whole. A gradient does not: assigning `.grad` destroys the old one before
# it is unlinked, and that destruction gives the GIL away (whoever reads `.grad` then gets a dead object: a crash); and
# the backward pass assigns gradients, and frees what the nodes had saved for it, without the GIL.

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

_SETS = 1  # may assign `.grad` by a statement
_CALLS = 2  # may assign it through a call: setattr(p, "grad", None)
_BACKWARD = 4  # runs the backward pass
# Id of a code object -> the above, and the object itself, whose hash is slow to make. Bounded, cleared when full.
_uses: dict[int, tuple[int, CodeType]] = {}


def has_gil() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def _learn(code: CodeType) -> tuple[int, CodeType]:
    if len(_uses) > 2000:
        _uses.clear()
    names = code.co_names
    use = _SETS if "grad" in names else 0
    if "grad" in code.co_consts:
        use |= _CALLS
    if "run_backward" in names or "_engine_run_backward" in names:
        use |= _BACKWARD
    _uses[id(code)] = use, code
    return use, code


def _assigns_attribute(frame: FrameType, _stores: list[int] = []) -> bool:
    """Whether the instruction that the frame is in is an assignment to, or a deletion of, an attribute."""
    if not _stores:
        import opcode

        _stores.extend(opcode.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
    at = frame.f_lasti
    return at < 0 or frame.f_code.co_code[at] in _stores


def gradients_readable() -> bool:
    """Whether `.grad` of a tensor on a device can be read now. Asked for each one: reading may let other threads run."""
    return _readable(_SETS | _CALLS | _BACKWARD)


def saved_readable() -> bool:
    """The same of what a node of a graph has saved for backward. Asked for each node."""
    return _readable(_BACKWARD)


def _readable(unsafe: int) -> bool:
    """Whether no other thread is in the middle of one of these."""
    import _thread

    mine = _thread.get_ident()
    others = sys._current_frames()
    others.pop(mine)  # this very frame: kept here, it would keep itself and its callers' variables alive
    if not others:
        return True
    if not has_gil():
        return False
    backward, known = 0, _uses.get
    frame: FrameType | None
    for frame in others.values():
        running = False
        while frame is not None:
            code = frame.f_code
            use = (known(id(code)) or _learn(code))[0] & unsafe
            if use & _CALLS or (use & _SETS and _assigns_attribute(frame)):
                return False
            running = running or bool(use & _BACKWARD)
            frame = frame.f_back
        backward += running
    if backward == 0:
        return True
    # Within autograd's only device thread, at an out-of-memory say: it cannot go on before we return.
    return (
        backward == 1
        and mine not in sys.modules["threading"]._active
        and sys.modules["torch"]._C._cuda_getDeviceCount() == 1
    )


def let_others_end(seconds: float) -> None:
    """Gives the GIL away for a moment: autograd's threads wait for it when they let go of the tensors of a pass that is
    over. This is a sleep that no program puts its own in place of, as gevent does with others."""
    import _signal  # type: ignore[import-not-found]

    _signal.sigtimedwait((), seconds)
