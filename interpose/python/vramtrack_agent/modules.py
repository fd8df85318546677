# The largest layers: what each nn.Module itself holds as weights, gradients and optimizer state.

from __future__ import annotations

from .code_files import is_user_file, module_file
from .frames import calls_module, frame_locals, frame_name
from .groups import where_it_grows
from .growth import growth_line
from .plain_types import SEQUENCES
from .roles import module_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .frames import Running
    from .holders import Walk
    from .tensors import Access

_noted = {"bytes": 0}  # of the modules in the last note


def forget_noted() -> None:
    """In a forked child: its modules have not been noted in its trace."""
    _noted["bytes"] = 0


def optimizer_bytes(access: Access, optimizers: list[Any]) -> dict[int, int]:
    """id of a parameter -> bytes of its optimizer state on the device."""
    found = {}
    for optimizer in optimizers:
        values = object.__getattribute__(optimizer, "__dict__")
        for parameter, state in list((values.get("state") or {}).items()):
            if hasattr(state, "values"):
                total = 0
                for value in list(state.values()):
                    for one in value if id(type(value)) in SEQUENCES else (value,):
                        total += access.bytes(one)
                found[id(parameter)] = total
    return found


def largest_modules(
    access: Access, roots: list[tuple[str, Any]], optimizers: list[Any], top: int = 8
) -> tuple[list[dict[str, Any]], int]:
    """[{name, class, in, out, weight, grad, optimizer, root}] of single modules, largest weights first, and what all of
    them hold. `roots`: [(variable, root module)]; `root` of an entry is an index of it."""
    state = optimizer_bytes(access, optimizers)
    found: list[dict[str, Any]] = []
    total = 0
    seen = set()
    for number, (variable, root) in enumerate(roots):
        for name, module in module_entries(access, root, variable):
            values = object.__getattribute__(module, "__dict__")
            weight = grad = kept = 0
            largest: tuple[int, str, list[int]] = (-1, "", [])
            for parameter_name, parameter in list((values.get("_parameters") or {}).items()):
                if parameter is None or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                size = access.bytes(parameter)
                weight += size
                gradient = access.grad(parameter) if access.is_leaf(parameter) else None
                grad += access.bytes(gradient) if gradient is not None else 0
                gradient = None
                kept += state.get(id(parameter), 0)
                if size > largest[0]:
                    largest = (size, parameter_name, list(access.shape(parameter)))
            if weight:
                total += weight + grad + kept
                found.append(
                    {
                        "n": name,
                        "c": type(module).__name__,
                        "i": _number(values.get("in_features")),
                        "o": _number(values.get("out_features")),
                        "p": largest[1],
                        "s": largest[2],
                        "w": weight,
                        "g": grad,
                        "x": kept,
                        "root": number,
                    }
                )
    found.sort(key=lambda entry: -(entry["w"] + entry["g"] + entry["x"]))
    return found[:top], total


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def module_note(access: Access, walk: Walk, step: int) -> dict[str, Any] | None:
    places = [at for at in walk.modules if type(walk.objects[at]) is not type]
    roots = [(walk.text(at), walk.objects[at]) for at in places]
    if not roots:
        return None
    optimizers = [walk.objects[at] for at in walk.optimizers]
    entries, total = largest_modules(access, roots, optimizers)
    if total <= _noted["bytes"] * 1.01:
        return None
    _noted["bytes"] = total
    for number, entry in enumerate(entries):
        at = places[entry.pop("root")]
        if number < 2:
            entry["f"], entry["l"] = _module_line(walk, at, entry["n"])
    return {"step": step, "total": total, "modules": entries}


def _module_line(walk: Walk, root: int, name: str) -> tuple[str, int]:
    """(file, line) of the statement that makes a module, `model.net.0` below the root `model` at this position: the
    nearest name above it that is assigned in the user's own class or module."""
    parts = name[len(walk.text(root)) :].strip(".").split(".") if name != walk.text(root) else []
    chain = [walk.objects[root]]
    for part in parts:
        inner = (object.__getattribute__(chain[-1], "__dict__").get("_modules") or {}).get(part)
        if inner is None:  # a name with a dot in it
            break
        chain.append(inner)
    parts = parts[: len(chain) - 1]
    while len(chain) > 1:
        owner = type(chain[-2])
        if walk.user_type(owner):
            file = module_file(owner.__module__)
            line = growth_line(file, "", 0, parts[-1])[0] if file else 0
            if line:
                return file, line
        chain.pop()
        parts.pop()
    return where_it_grows(walk, root)[1:3]


def running_pass(torch: Any, frames: list[Running], records: bool) -> dict[str, Any]:
    """Of the call of a module that runs in this thread, the outermost one: the class, whether it is in training mode,
    the user's function that called it; and whether the thread records graphs."""
    note: dict[str, Any] = {"records": records}
    for frame, thread in frames:
        if thread != 0:
            break
        code = frame.f_code
        if calls_module(code):
            values = frame_locals(frame)
            module = values.get("self")
            values.clear()
            if isinstance(module, torch.nn.Module):
                kept = object.__getattribute__(module, "__dict__")
                note.update({"c": type(module).__name__, "training": bool(kept.get("training", True)), "fn": ""})
            module = None
        elif note.get("fn") == "" and is_user_file(code.co_filename) and code.co_flags & 1:
            note["fn"] = frame_name(frame)
    return note
