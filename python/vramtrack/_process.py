"""This process's own tracer, asked through the functions that the preloaded library exports (interpose/process/api.cpp).

Nothing is loaded here: the names are looked up in what the process has already. All calls may come from any thread.
"""

import contextlib
import ctypes
import os
import tempfile
from typing import Any, Dict, Iterator, List, Optional, Union

from vramtrack import _program
from vramtrack.report import Report

_LAYERS = ("cuda", "tensor")  # contract/layout.hpp: enum Layer, enum Kind
_KINDS = dict(enumerate(("device", "pool", "managed", "host_pinned", "array", "vmm", "graph", "ipc", "external",
                         "registered", "block")))
_KINDS[255] = "all"
_ROOM = 256


class _Total(ctypes.Structure):
    _fields_ = [("layer", ctypes.c_uint8), ("kind", ctypes.c_uint8), ("device", ctypes.c_int16), ("unused", ctypes.c_uint32)]
    _fields_ += [(name, ctypes.c_uint64) for name in (
        "live_bytes", "live_count", "peak_bytes", "window_peak_bytes", "freed_bytes", "freed_count", "allocated_bytes",
        "allocated_count")]


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """The library's function of that name, None where it is not preloaded. Called with the GIL held: these are short."""
    try:
        found = getattr(ctypes.PyDLL(None), name)
    except (AttributeError, OSError):
        return None
    found.restype, found.argtypes = result, list(arguments)
    return found


_recording = _function("vramtrack_recording", ctypes.c_int)
_trace = _function("vramtrack_trace", ctypes.c_char_p)
_totals = _function("vramtrack_totals", ctypes.c_uint, ctypes.c_void_p, ctypes.c_uint)
_begin_window = _function("vramtrack_begin_window", None)
_look = _function("vramtrack_look", ctypes.c_int)
_mark = _function("vramtrack_mark", None, ctypes.c_char_p)
_phase_push = _function("vramtrack_phase_push", None, ctypes.c_char_p)
_phase_pop = _function("vramtrack_phase_pop", None)


def is_active() -> bool:
    """Whether this process is recorded (or will be, from its first GPU allocation on)."""
    return bool(_recording is not None and _recording())


def mark(name: str) -> None:
    """Puts a named moment on the report's time line. Does nothing in a process that is not traced."""
    if _mark is not None and is_active():
        _mark(name.encode("utf-8", "replace"))


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """What this thread allocates within the block belongs to the phase `name`. Phases nest: the inner one counts."""
    if _phase_push is None or _phase_pop is None or not is_active():
        yield
        return
    _phase_push(name.encode("utf-8", "replace"))
    try:
        yield
    finally:
        _phase_pop()


def totals() -> List[Dict[str, Any]]:
    """The totals of now, one dict for each (layer, device, kind), with the keys of the report's `totals`, and
    `window_peak_bytes`: the most since begin_window(). Bytes are exact."""
    if _totals is None:
        return []
    room = (_Total * _ROOM)()
    rows = []
    for total in room[: _totals(ctypes.byref(room), _ROOM)]:
        layer, kind = _LAYERS[total.layer], _KINDS.get(total.kind, "unknown")
        rows.append({"layer": layer, "device": total.device, "kind": "block" if layer == "tensor" else kind})
        rows[-1].update((name, int(getattr(total, name))) for name, _ in _Total._fields_[4:])
    return rows


def begin_window() -> None:
    """`window_peak_bytes` of totals() and live() counts from now on. The report's peaks are not touched."""
    if _begin_window is not None:
        _begin_window()


def live() -> Dict[str, Any]:
    """What lives on the GPU now: {} in a process that is not traced.

    `live_bytes`, `live_count`, `peak_bytes` and `window_peak_bytes` are sums over the devices: of PyTorch's tensors
    where its caching allocator was used (equal to torch.cuda.memory_allocated()), else of CUDA's own allocations.
    `totals` has each (layer, device, kind) apart, with the keys of the report's `totals`.
    """
    if not is_active():
        return {}
    rows = totals()
    tensors = [row for row in rows if row["layer"] == "tensor"]
    chosen = tensors or [row for row in rows if row["kind"] == "all"]
    names = ("live_bytes", "live_count", "peak_bytes", "window_peak_bytes")
    result: Dict[str, Any] = {"layer": "tensor" if tensors else "cuda"}
    result.update((name, sum(row[name] for row in chosen)) for name in names)
    result["totals"] = rows
    return result


def snapshot(path: Optional[Union[str, "os.PathLike[str]"]] = None, max_allocations: int = 10000) -> Optional[Report]:
    """A report of this moment (`at: "live"`), with holders; also written to `path` as JSON where one is given.

    None in a process that is not traced, or that has not used the GPU yet. Takes some tenths of a second: the program's
    objects are walked, and the report is made by another process. Raises RuntimeError when that fails, OSError when
    `path` cannot be written.
    """
    if not is_active() or _trace is None:
        return None
    trace = _trace().decode("utf-8", "surrogateescape")
    if not trace:
        return None
    if _look is not None:
        _look()
    with tempfile.TemporaryDirectory(prefix="vramtrack-") as folder:
        made = os.path.join(folder, "now.json")
        _program.run(["report", trace, "--at", "live", "--format", "json", "--max-allocations", str(max_allocations),
                      "-o", made])
        report = Report.load(made)
        if path is not None:
            with open(made, "rb") as source, open(path, "wb") as target:
                target.write(source.read())
            report.path = os.fspath(path)
    return report
