# The part of the agent that is compiled when it comes in (first CUDA event; must stay small): registers the step
# clock, the exit and out-of-memory handlers and the fork handlers. The analyses (other files) are compiled when first
# needed. All files share one private globals dict with the natives (native_*); nothing is put into sys.modules.
# Nothing here may raise into the script, and no name here may keep one of its objects alive.

import sys

_state = {"pid": 0, "busy": False, "loaded": False, "exited": False, "torch": False}
_FILES = ("liveness", "threads", "frames", "tensors", "roles", "roots", "holders", "graph", "cycles", "modules", "growth",
          "facts", "capture", "notes", "labels", "segments")


# For the native side.
NONE = sequence_nr = None
set_eval_frame = None  # Dynamo's switch, used natively around every call into the agent: it must not compile it


def install():
    """Called natively, GIL held; again later while torch is not there yet. True when nothing is left to do."""
    import os

    if _state["pid"] != os.getpid():
        _begin(os)
    torch = sys.modules.get("torch")
    optimizer = sys.modules.get("torch.optim.optimizer")
    if torch is None or optimizer is None or not hasattr(torch, "autograd"):
        return False
    native_note("python", _environment(torch), 0)
    if _state["torch"]:  # a forked child: it has its parent's hooks
        return True
    _state["torch"] = True
    global sequence_nr, set_eval_frame
    import functools

    # Dynamo must not compile it: it would have to import this namespace by name, and warns of natives that it meets.
    _on_step = functools.partial(native_on_step)
    _on_step._torchdynamo_disable = True
    _on_step._torchdynamo_disable_msg = "a hook of vramtrack"
    set_eval_frame = getattr(getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None), "set_eval_frame", None)
    sequence_nr = getattr(torch.autograd, "_get_sequence_nr", None)
    for owner, name, hook in (
        (optimizer, "register_optimizer_step_post_hook", _on_step),
        (torch._C, "_cuda_attach_out_of_memory_observer", _door("on_oom")),
    ):
        try:
            getattr(owner, name)(hook)
        except ours():
            native_note("agent_error[]", '["%s is not usable here"]' % name, 0)
    if native_stop_after():
        exec(compile(native_source("passes"), "<vramtrack passes>", "exec"), globals())
        watch_passes(torch)
    return True


def _begin(os):
    """The first call in a process. A forked child has inherited this namespace with its parent's state."""
    import atexit

    first = _state["pid"] == 0
    _state.update(pid=os.getpid(), busy=False, exited=False)
    if _state["loaded"]:
        _looks["module_bytes"] = 0  # its modules have not been noted in this trace
    if first:
        main = sys.modules.get("__main__")
        _state["main"] = getattr(main, "__file__", None) or ""  # gone from the module when atexit runs
        _state["on_exit"] = _door("on_exit")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_door("before_fork"), after_in_child=native_forked)
    atexit.unregister(_state["on_exit"])
    atexit.register(_state["on_exit"])  # a child of multiprocessing has none of its parent's
    native_note("python", _environment(None), 0)


def _door(name):
    """What the interpreter and torch call. The way in is native, so that a trace or profile function of the script sees
    no call, and none of the agent's lines: a partial is not reported as a call of Python or C."""
    import functools

    return functools.partial(native_enter, name)


def _environment(torch):
    values = [("version", "%d.%d.%d" % sys.version_info[:3])]
    if torch is not None:
        values.append(("torch", str(torch.__version__)))
        cuda = getattr(getattr(torch, "version", None), "cuda", None)
        if cuda:
            values.append(("cuda", str(cuda)))
    return "{%s}" % ",".join('"%s":"%s"' % pair for pair in values)


def _load():
    """Compiles the analyses into this namespace, once."""
    if not _state["loaded"]:
        for name in _FILES:
            exec(compile(native_source(name), "<vramtrack %s>" % name, "exec"), globals())
        _state["loaded"] = True


def _ours(error):
    """Whether an exception comes from the agent, not from a signal handler that ran while the agent did."""
    if isinstance(error, KeyboardInterrupt):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or trace.tb_frame.f_code.co_filename.startswith("<vramtrack")


def ours():
    """For `except ours():`: nothing matches when a signal handler of the script's raised while the agent worked."""
    return Exception if _ours(sys.exc_info()[1]) else ()


def _guarded(work, *arguments):
    """Runs an analysis with collections and thread switches held off. Exceptions of the agent end here."""
    if _state["busy"]:
        return
    _state["busy"] = True
    collector = restore = interval = None
    try:
        import os

        if os.getpid() != _state["pid"]:
            return
        _load()
        collector = real_gc()
        restore = collector.isenabled()
        collector.disable()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        work(*arguments)
    except BaseException as error:
        if not _ours(error):
            raise
        try:
            native_note("agent_error[]", _describe(error), 0)
        except BaseException:
            pass
        error.__traceback__ = error.__context__ = error.__cause__ = None
    finally:
        if interval is not None:
            sys.setswitchinterval(interval)
        if restore:
            collector.enable()
        _state["busy"] = False


def _describe(error):
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "%s:%d" % (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else "?"
    text = "%s %s: %s" % (where, type(error).__name__, error)
    return '["%s"]' % "".join(c if c.isprintable() and c not in '"\\' else " " for c in text[:300])


def on_look(why):
    """A short look at the running frames: called natively when memory reaches a new height or grows by steps."""
    _guarded(lambda: take_look(why))


def on_roles(optimizer):
    """What blocks are for: called natively at an optimizer's first steps, and with None at a new height."""
    _guarded(lambda: look_at_roles(optimizer))


def on_oom(device, requested, total, free):
    """torch's observer: before the error is raised, frames intact. An exception here would replace the OOM error."""
    try:
        _guarded(lambda: oom_analysis(native_last_oom(), device, requested))
    except KeyboardInterrupt:
        native_interrupt()  # delivered when the script runs again
    except BaseException:
        pass


def on_ask():
    """Asked by the program itself (vramtrack.snapshot)."""
    _guarded(lambda: exit_analysis())
    return True


def on_exit():
    """atexit, or the interposed _exit. Children inherit the handler: the pid check in _guarded stops them."""
    if not _state["exited"]:
        import os

        if os.getpid() == _state["pid"]:
            _state["exited"] = True
            try:
                if _state["torch"]:
                    _guarded(lambda: exit_analysis())
            finally:
                native_end()


def on_enough():
    """Called natively after the optimizer's last step under `vramtrack fit`: the peak is that of whole steps, and the
    interposed _exit brings the trace to its end."""
    import os

    os._exit(0)


def before_fork():
    """os.fork is about to run: hands the place of NumPy's global generator to the native side (see rng.hpp)."""
    try:
        numpy = sys.modules.get("numpy")
        random = sys.modules.get("numpy.random")
        if numpy is None or random is None:
            native_fork(0, "", 0)
            return
        generator = _state["generator"] = random.mtrand._rand._bit_generator  # held: its state is read natively
        if type(generator).__name__ != "MT19937":
            native_fork(0, "", 0)
            return
        frame = sys._getframe(1)
        while frame is not None and ("/multiprocessing/" in frame.f_code.co_filename or
                                     "/concurrent/futures/" in frame.f_code.co_filename):
            frame = frame.f_back
        native_fork(generator.ctypes.state_address, frame.f_code.co_filename if frame else "",
                    frame.f_lineno if frame else 0)
    except ours():
        pass
