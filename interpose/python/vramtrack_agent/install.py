# The part of the agent that is compiled when it comes in (first CUDA event; must stay small): registers the step
# clock, the exit and out-of-memory handlers and the fork handlers. The analyses (other files) are imported, and so
# compiled, when first needed. The functions without an underscore are called natively, by name. Nothing here may raise
# into the script, and no name here may keep one of its objects alive.

from __future__ import annotations

import sys
import time

from . import native
from .process import describe, door, end_now, is_own_error, ours, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any, Callable


class _State:
    """How far the agent has come in this process."""

    def __init__(self) -> None:
        self.pid = 0
        self.busy = self.analysed = self.exited = self.torch = False
        self.oom_seconds = 0.0  # that analyses of out-of-memory events took
        self.oom_skipped = False
        self.begin = time.monotonic()
        self.generator: Any = None  # NumPy's, of the last fork: held, since its state is read natively


_few_ooms = 3
_state = _State()
process.on_exit = door("on_exit")


# For the native side.
NONE: Any = None
sequence_nr: Any = None
set_eval_frame: Any = None  # Dynamo's switch, used natively around every call into the agent: it must not compile it


def install() -> bool:
    """Called natively, GIL held; again later while torch is not there yet. True when nothing is left to do."""
    import os

    if _state.pid != os.getpid():
        _begin()
    torch = sys.modules.get("torch")
    optimizer = sys.modules.get("torch.optim.optimizer")
    if torch is None or optimizer is None or not hasattr(torch, "autograd"):
        return False
    native.fact("python", _environment(torch), 0)
    if _state.torch:  # a forked child: it has its parent's hooks
        return True
    _state.torch = True
    global sequence_nr, set_eval_frame
    import functools

    # Dynamo must not compile it: it would have to import this namespace by name, and warns of natives that it meets.
    _on_step: Any = functools.partial(native.on_step)
    _on_step._torchdynamo_disable = True
    _on_step._torchdynamo_disable_msg = "a hook of vramtrack"
    set_eval_frame = getattr(getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None), "set_eval_frame", None)
    sequence_nr = getattr(torch.autograd, "_get_sequence_nr", None)
    for owner, name, hook in (
        (optimizer, "register_optimizer_step_post_hook", _on_step),
        (torch._C, "_cuda_attach_out_of_memory_observer", door("on_oom")),
    ):
        try:
            getattr(owner, name)(hook)
        except ours():
            native.fact("agent_error", "%s is not usable here" % name, 0)
    if native.stop_after():
        from .passes import watch_passes

        watch_passes(torch)
    return True


def _begin() -> None:
    """The first call in a process. A forked child has inherited this namespace with its parent's state."""
    import atexit
    import os

    first = _state.pid == 0
    _state.pid, _state.busy, _state.exited = os.getpid(), False, False
    if _state.analysed:
        from .modules import forget_noted

        forget_noted()
    if first:
        process.main = getattr(sys.modules.get("__main__"), "__file__", None) or ""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=door("before_fork"), after_in_child=native.forked)
    atexit.unregister(process.on_exit)
    atexit.register(process.on_exit)  # a child of multiprocessing has none of its parent's
    native.fact("python", _environment(None), 0)


def _environment(torch: ModuleType | None) -> dict[str, str]:
    values = {"version": "%d.%d.%d" % sys.version_info[:3]}
    if torch is not None:
        values["torch"] = str(torch.__version__)
        cuda = getattr(getattr(torch, "version", None), "cuda", None)
        if cuda:
            values["cuda"] = str(cuda)
    return values


def _guarded(work: Callable[[], None]) -> None:
    """Runs an analysis with collections and thread switches held off. Exceptions of the agent end here."""
    if _state.busy:
        return
    _state.busy = True
    collector = restore = interval = None
    try:
        import os

        if os.getpid() != _state.pid:
            return
        from .frames import real_gc

        _state.analysed = True
        collector = real_gc()
        restore = process.collects = collector.isenabled()
        collector.disable()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        work()
    except BaseException as error:
        if not is_own_error(error):
            raise
        try:
            native.fact("agent_error", describe(error), 0)
        except BaseException:
            pass
        error.__traceback__ = error.__context__ = error.__cause__ = None
    finally:
        if interval is not None:
            sys.setswitchinterval(interval)
        if restore and collector is not None:
            collector.enable()
        _state.busy = False


def on_look(why: str) -> None:
    """A short look at the running frames: called natively when memory reaches a new height or grows by steps."""

    def look() -> None:
        from .notes import take_look

        take_look(why)

    _guarded(look)


def on_roles(optimizer: Any) -> None:
    """What blocks are for: called natively at an optimizer's first steps, and with None at a new height."""

    def look() -> None:
        from .labels import look_at_roles

        look_at_roles(optimizer)

    _guarded(look)


def on_oom(device: int, requested: int, total: int, free: int) -> None:
    """torch's observer: before the error is raised, frames intact. An exception here would replace the OOM error."""

    def look() -> None:
        from .notes import oom_analysis

        n = native.last_oom()
        now = time.monotonic()
        # A program that handles its errors may meet many: after the first ones they have a tenth of its time.
        if n == 0:
            return
        if n > _few_ooms and 10 * _state.oom_seconds > now - _state.begin:
            if not _state.oom_skipped:
                native.fact("agent_error", "out-of-memory event %d and later ones: not all looked at" % n, 0)
            _state.oom_skipped = True
            return
        oom_analysis(n)
        _state.oom_seconds += time.monotonic() - now

    try:
        _guarded(look)
    except KeyboardInterrupt:
        native.interrupt()  # delivered when the script runs again
    except BaseException:
        pass


def on_pass(module: Any, arguments: Any) -> None:
    """torch is about to call a module, under `vramtrack fit`."""
    from . import passes

    passes.on_pass(module)


def _at_exit() -> None:
    from .notes import exit_analysis

    exit_analysis()


def on_ask() -> bool:
    """Asked by the program itself (vramtrack.snapshot)."""
    _guarded(_at_exit)
    return True


def on_exit() -> None:
    """atexit, or the interposed _exit. Children inherit the handler: the pid check in _guarded stops them."""
    if not _state.exited:
        import os

        if os.getpid() == _state.pid:
            _state.exited = True
            try:
                if _state.torch:
                    _guarded(_at_exit)
            finally:
                native.end()


def on_enough() -> None:
    """Called natively after the optimizer's last step under `vramtrack fit`: the peak is that of whole steps."""
    end_now()


def before_fork() -> None:
    """os.fork is about to run: hands the place of NumPy's global generator to the native side (see rng.hpp)."""
    try:
        numpy = sys.modules.get("numpy")
        random = sys.modules.get("numpy.random")
        if numpy is None or random is None:
            native.fork(0, "", 0)
            return
        generator = _state.generator = random.mtrand._rand._bit_generator
        if type(generator).__name__ != "MT19937":
            native.fork(0, "", 0)
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (
            "/multiprocessing/" in frame.f_code.co_filename or "/concurrent/futures/" in frame.f_code.co_filename
        ):
            frame = frame.f_back
        native.fork(
            generator.ctypes.state_address, frame.f_code.co_filename if frame else "", frame.f_lineno if frame else 0
        )
    except ours():
        pass
