# Running frames: reading their locals without leaving anything behind, telling the user's code from libraries, and
# finding locals that hold memory although nothing reads them again.

import collections
import os
import sys


def real_gc():
    """The collector itself, also where the script put something else into sys.modules under its name."""
    import gc

    if type(getattr(gc, "get_objects", None)) is not type(len):
        import importlib.machinery

        spec = importlib.machinery.BuiltinImporter.find_spec("gc")
        import _imp

        gc = _imp.create_builtin(spec)
        getattr(_imp, "exec_builtin", len)(gc) if hasattr(_imp, "exec_builtin") else None
    return gc


def _library_prefixes():
    stdlib = os.path.dirname(os.__file__) + os.sep
    return (stdlib, "<")


def is_user_file(path, _prefixes=[]):
    """The user's own code: not the standard library, an installed package, or code without a file."""
    if not _prefixes:
        _prefixes.extend(_library_prefixes())
    if path.startswith(_prefixes[1]):
        return False
    if "/site-packages/" in path or "/dist-packages/" in path:
        return False
    return not path.startswith(_prefixes[0])


def module_file(name):
    """The file of a loaded module, or ""."""
    if name == "__main__":
        return os.path.abspath(_state["main"]) if _state["main"] else ""
    module = sys.modules.get(name) if type(name) is str else None
    file = module.__dict__.get("__file__") if type(module) is type(sys) else None
    return file if type(file) is str else ""


def all_frames():
    """[(frame, thread index)] of all threads, innermost first, the agent's own left out. Without a GIL of this thread
    only: the others run on, and CPython does not keep their frames from changing under a reader."""
    found = []
    for number, frame in enumerate(sys._current_frames().values() if has_gil() else [sys._getframe()]):
        while frame is not None:
            if not frame.f_code.co_filename.startswith("<vramtrack"):
                found.append((frame, number))
            frame = frame.f_back
    return found


def _is_traced():
    """Whether a trace or profile function may be running, in any thread: when it returns, the interpreter (up to 3.12)
    stores the snapshot of its frame's locals back into the frame, and what we had emptied would be gone."""
    threading = sys.modules.get("threading")
    hooks = (getattr(threading, "_trace_hook", None), getattr(threading, "_profile_hook", None))
    return sys.gettrace() is not None or sys.getprofile() is not None or hooks != (None, None)


def frame_locals(frame, listed=0):
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


def frame_name(frame):
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


def frame_self_class(frame):
    if sys.version_info >= (3, 11):
        return None
    values = frame_locals(frame)
    first = values.get(frame.f_code.co_varnames[0])
    values.clear()
    if first is None:
        return None
    return first.__name__ if isinstance(first, type) else type(first).__name__


_liveness_cache = {}  # code object -> Liveness or None; bounded, cleared when full


def liveness_of(code):
    if code not in _liveness_cache:
        if len(_liveness_cache) > 500:
            _liveness_cache.clear()
        _liveness_cache[code] = analyse_code(code)
    return _liveness_cache[code]


def _owner_counts(values):
    """References of each value that the dict `values` alone does not explain, by name. Same code for the baseline."""
    counts = {}
    for name in list(values):
        counts[name] = sys.getrefcount(values[name])
    return counts


def _baseline(_known=[]):
    """What _owner_counts says of an object that one local of a running function holds and nothing else."""
    if not _known:

        def holder():
            held = object()
            counts = _owner_counts(frame_locals(sys._getframe()))
            return counts.get("held"), held is None

        _known.append(holder()[0])
    return _known[0]


def _frames_holding(frames, value):
    """How many locals of these frames are `value`. From 3.14 an argument may be lent: the callee's local then holds no
    reference of its own, so the object's count does not tell that the caller has it too."""
    return sum(held is value for frame, _ in frames for held in frame_locals(frame).values())


def dead_locals(frames, tensor_bytes, alone, deep):
    """Locals that hold memory, that the bytecode never reads again, and whose object nothing else holds.

    `tensor_bytes(value)` gives the device bytes of a tensor or 0; `alone(tensor)` says that neither a view nor the
    autograd graph shares its memory. Only such a local may be told to be freed by `del`. Of each it is said whether it
    stays so until its function ends: no later statement gives the name another value. `deep`: of those, objects of any
    kind count, else tensors and flat containers only: after training its optimizer is done with, too, which is nobody's
    mistake."""
    found = []
    baseline = _baseline()
    if baseline is None:
        return found
    for frame, _ in frames:
        code = frame.f_code
        if not is_user_file(code.co_filename):
            continue
        live = liveness_of(code)
        if live is None or (live.module and frame.f_globals is not frame.f_locals):
            continue
        read_later, set_later = live.live_after(frame.f_lasti), live.changed_after(frame.f_lasti)
        values = frame_locals(frame)
        if live.module:  # the namespace itself holds the object, our copy holds it again
            values = {name: values[name] for name in live.names if name in values}
        counts = _owner_counts(values)
        for name in live.names:
            if name in read_later or name not in values:
                continue
            if counts[name] > baseline:
                continue
            value = values[name]
            stays = name not in set_later
            total, count = _bytes_alone(value, tensor_bytes, alone, deep and stays)
            if total and sys.version_info >= (3, 14) and _frames_holding(frames, value) > 1:
                total = 0
            value = None
            if total and not read_in_statement(code.co_filename, frame.f_lineno, name):
                found.append((total, count, name, frame, stays, live.module))
        values.clear()
    found.sort(key=lambda item: -item[0])
    return found


def _bytes_alone(value, tensor_bytes, alone, deep):
    """(bytes, tensors) that go when the only reference to `value` goes: those of a tensor, of a flat list, tuple or
    dict, or, `deep`, of all tensors below an object each of which, with everything on the way, is held once."""
    size = tensor_bytes(value)
    if size:
        return (size, 1) if alone(value) else (0, 0)
    collector = real_gc()
    total = count = 0
    left = _MOST_BELOW
    todo = [value] if collector.is_tracked(value) and (deep or type(value) in (dict, list, tuple)) else []
    while todo:
        owner = todo.pop()
        left -= _length(owner)
        if left < 0:
            return 0, 0
        parts = collector.get_referents(owner)
        for position in range(len(parts)):
            # references: the owner's, that of `parts`, getrefcount's argument
            if sys.getrefcount(parts[position]) > 3:
                continue
            size = tensor_bytes(parts[position])
            if size:
                if alone(parts[position]):
                    total += size
                    count += 1
            elif deep and collector.is_tracked(parts[position]):
                todo.append(parts[position])
        parts.clear()
    return total, count


_MOST_BELOW = 30000  # objects that are looked at for one local


def _length(o):
    """How many parts an object may have: containers can have millions."""
    line = type.__dict__["__mro__"].__get__(type(o))
    for kind in (dict, list, tuple, set, frozenset, collections.deque):
        if kind in line:
            return kind.__len__(o) + 8
    return 8
