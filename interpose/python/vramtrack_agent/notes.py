# The analyses and what they write into the trace (contract/facts.def lists the facts).
# Order inside each: refcount questions first, then walks that hold objects, then everything is dropped, then I/O.

from __future__ import annotations

import ast
import sys

from . import native
from .capture import capture_graph, capture_look
from .code_files import is_user_file, module_file
from .cycles import can_be_met, garbage_tensors
from .dead import dead_locals
from .facts import tensor_rows
from .frames import all_frames, frame_name, real_gc
from .graph import walk_graph
from .groups import group_entries, holder_groups, measure_graphs
from .growth import forget_sources, growth_line, set_in, source_tree
from .holders import Walk
from .labels import seen_blocks
from .modules import module_note, running_pass
from .process import describe, is_own_error, process
from .roles import Roles, root_modules
from .roots import (
    add_all_modules,
    add_frame_roots,
    add_last_exception,
    add_library_frame_roots,
    add_suspended_roots,
    add_user_modules,
)
from .segments import note_pools, note_segments
from .tensors import Access, guard
from .threads import let_others_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .dead import DeadLocal
    from .frames import Running


def take_look(why: str) -> None:
    """A short look at the running frames: what their variables hold, how far its graphs reach, dead locals."""
    torch = sys.modules["torch"]
    step, live_bytes, live_count, height, freed = native.state()
    access = Access(torch)
    modules = None
    with guard(torch):
        frames = all_frames()
        dead = [_dead_entry(item) for item in dead_locals(frames, access.bytes, access.alone, why != "height")[:5]]
        walk = Walk(access, max_objects=60000, seconds=0.03, wide=False)
        walk.hide_own()
        add_frame_roots(walk, frames, user_only=True)
        walk.run()
        if why != "height":  # what no name leads to
            add_library_frame_roots(walk, frames)
            if why == "growth":
                add_suspended_roots(walk)
            walk.run()
        frames.clear()
        groups = holder_groups(access, walk)
        measure_graphs(access, groups, 8000)
        entries = group_entries(walk, groups)
        modules = module_note(access, walk, step)
        walk.clear()
        groups.clear()
    forget_sources()
    look = {"why": why, "step": step, "live": live_bytes, "blocks": live_count, "holders": entries, "dead": dead}
    if why == "height":
        look["height"] = height
    native.fact("looks", look, 0)
    if modules is not None:
        native.fact("modules", modules, 0)
    capture_look(why, step, live_count, freed, live_bytes)


def _dead_entry(item: DeadLocal) -> dict[str, Any]:
    total, count, name, frame, stays, module = item
    code = frame.f_code
    return {
        "v": name,
        "b": total,
        "c": count,
        "fn": frame_name(frame),
        "f": code.co_filename,
        "l": growth_line(code.co_filename, code.co_name, code.co_firstlineno, name)[0] or frame.f_lineno,
        "at": frame.f_lineno,
        "stays": stays,
        "module": bool(module),
    }


def _each(*parts: Callable[[], Any]) -> None:
    """Runs the parts of an analysis; one that fails is noted and leaves the others alone."""
    for part in parts:
        try:
            part()
        except BaseException as error:
            if not is_own_error(error):
                raise
            native.fact("agent_error", describe(error), 0)
            error.__traceback__ = error.__context__ = error.__cause__ = None  # its frames hold what the part met


def exit_analysis() -> None:
    let_others_end(0.01)
    _each(
        lambda: note_segments(sys.modules["torch"]),
        lambda: _full_analysis(0, [], None),
        lambda: capture_graph(native.MOMENT_exit),
    )


def oom_analysis(n: int) -> None:
    torch = sys.modules["torch"]
    records = torch.is_grad_enabled()
    with guard(torch):
        access = Access(torch)
        frames = all_frames()
        dead = [_dead_entry(item) for item in dead_locals(frames, access.bytes, access.alone, True)[:8]]
        _each(
            lambda: native.fact("pass", running_pass(torch, frames, records), n),
            lambda: note_segments(torch),
            lambda: _full_analysis(n, frames, dead),
            frames.clear,
            lambda: capture_graph(native.MOMENT_out_of_memory, n),
        )


def _full_analysis(n: int, frames: list[Running], dead: list[dict[str, Any]] | None) -> None:
    """Facts of every tensor alive: roles, names, holders, graphs, cycles. Writes notes for OOM `n`, or 0 at exit."""
    torch = sys.modules["torch"]
    access = Access(torch)
    collector = real_gc()
    step, live_bytes, live_count = native.state()[:3]
    values: dict[str, Any] = {}
    with guard(torch):
        objects = collector.get_objects()
        tensors, modules, optimizers = access.scan(objects)
        walk = Walk(access)
        walk.hide_own()
        for mine in (objects, tensors, modules, optimizers, frames):
            walk.hide(mine)
        walk.wanted = access.histories.union(access.known)
        if not frames:
            add_user_modules(walk)
        add_frame_roots(walk, frames or all_frames())
        add_user_modules(walk)
        add_last_exception(walk)
        if walk.wanted or collector.get_freeze_count():
            walk.run(30000)
        if walk.wanted:
            if not collector.get_freeze_count():
                walk.wanted = can_be_met(access, tensors, walk.wanted, objects, collector)
            walk.run()
        if walk.wanted:
            add_all_modules(walk)
            walk.run()
        tensors.extend(walk.objects[at] for at in walk.tensors if id(walk.objects[at]) not in access.known)  # frozen
        position = {id(walk.objects[at]): at for at in walk.tensors}

        roles = Roles(access)
        names = {id(walk.objects[at]): walk.text(at) for at in walk.modules}
        roles.add_modules(modules, lambda module: names.get(id(module)))
        roles.add_optimizers(optimizers)
        groups = holder_groups(access, walk)
        starts = [node for node in (access.graph(t) for t in tensors[:20000]) if node is not None]
        saved = walk_graph(access, starts, 20000, saved=True).saved
        starts.clear()
        measure_graphs(access, groups, 40000)
        values["history_graph"] = {"step": step, "holders": group_entries(walk, groups)}
        groups.clear()
        rows = tensor_rows(access, walk, tensors, position, roles, saved)
        note = module_note(access, walk, step)
        if note is not None:
            values["modules"] = note
        roots = [(names.get(id(module), ""), module) for module in root_modules(access, modules)]
        seen = seen_blocks(access, roots, optimizers)
        roots.clear()
        if walk.wanted and walk.complete:
            garbage = garbage_tensors(
                tensors, walk.wanted, walk.seen, objects, (tensors, modules, optimizers), collector
            )
            cycles: dict[str, dict[str, Any]] = {}
            for tensor, (loop, closing, owner, way) in garbage:
                entry = cycles.setdefault(
                    closing, {"loop": loop, "way": way, "v": closing, "c": owner, "b": 0, "n": 0, "a": []}
                )
                gradient = access.grad(tensor) if access.is_leaf(tensor) else None
                for one in (tensor,) if gradient is None else (tensor, gradient):
                    entry["b"] += access.bytes(one)
                    entry["n"] += 1
                    if len(entry["a"]) < 64:
                        entry["a"].append(access.address(one))
            garbage.clear()
            tensor = gradient = one = None
            if cycles:
                for entry in cycles.values():
                    entry["f"], entry["l"] = _class_line(entry["c"], entry["v"].rpartition(".")[2])
                values["cycles"] = list(cycles.values())[:20]
        if dead is not None:
            values["dead_locals"] = {"live": live_bytes, "step": step, "dead": dead}
        values["state"] = {
            "step": step,
            "live": live_bytes,
            "blocks": live_count,
            "tensors": len(tensors),
            "complete": walk.complete,
            "collector_off": not process.collects,
        }
        walk.clear()
        for part in (objects, tensors, modules, optimizers, frames):
            part.clear()
        position.clear()
        saved.clear()
        del roles
    forget_sources()
    native.fact("tensors", rows, n)
    if seen is not None:
        native.fact("seen", seen, 0)
    del rows
    for name, value in values.items():
        native.fact(name, value, n)
    if access.has_pools:
        note_pools(torch, live_count, n)


def _class_line(name: str, attribute: str) -> tuple[str, int]:
    """(file, line) of the statement that sets an attribute of a user class of that name, else of the class."""
    for module in list(sys.modules):
        file = module_file(module)
        tree = source_tree(file) if file and is_user_file(file) else None
        if tree is None:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return file, set_in(node, attribute) or set_in(tree, attribute) or node.lineno
    return "", 0
