# The graph of who holds whom (contract/heap_graph.hpp): gathers what only PyTorch knows, then hands all to the native
# walk, which does the rest without running any Python code. native.EDGE_x, native.MOMENT_x and native.GRAPH_x are
# contract/heap_graph.def.
#
# What is gathered is a list of tuples per kind. The analysis' own references are counted natively, so that they do not
# look like holders; nothing of it may outlive the call.

from __future__ import annotations

import os
import sys
import time

from . import native
from .frame_facts import FrameFacts
from .frames import real_gc
from .graph import saved_names, sequence_number
from .process import ours, process
from .tensors import Access, dtype_name, guard
from .threads import has_gil, let_others_end, saved_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SAVED_LIMIT = 400000  # references of autograd graphs that are followed


def capture_graph(moment: int, number: int = 0, seconds: float = 3.0, nodes: int = 1000000) -> int:
    """Takes the graph and writes it, in at most about so many seconds of processor time. How many objects it was taken
    of; where it was not stored, a note says why."""
    torch = sys.modules["torch"]
    if "t" in getattr(sys, "abiflags", "") or not has_gil():
        native.fact("agent_error", "no holders are recorded: this Python has no GIL", 0)
        return 0
    let_others_end(0.002)
    objects = real_gc().get_objects()  # before anything of the analysis is there
    facts = Facts(torch, seconds)
    try:
        with guard(torch):
            facts.take(moment, number, nodes, objects)
            return len(objects)
    finally:
        facts.clear()


# What a graph at a look counts as, in seconds for an object: what it takes on an ordinary machine. On a slow or busy one
# the same objects take longer, and the same program must be looked at as often.
_PRICE = 0.5e-6
# Of graphs at looks: what the last one counts as, how many may come; steps, blocks and bytes at the last one (bytes: when
# the program had begun to work, before the first).
_look = {"cost": 0.08, "left": 16, "step": 2, "blocks": 40, "live": 0, "freed": 0}


def capture_look(why: str, step: int, blocks: int, freed: int, live: int) -> None:
    """A graph while the script runs, for a process that does not come to its end, or whose functions let go before.
    At a new height, only when there is time for it (a walk is one piece, and looks have one hundredth of the process's
    time), of a program that works (`freed`: blocks so far) and has half as many `blocks` again as the time before, or,
    without steps, a fifth more bytes (`live`) in as many: while a model is loaded there is nothing to see. At a step,
    after four times as many as before when there is time; in a program that grows, after twice as many whatever it
    takes: main() may let go of all before the process ends, and what is found must not depend on how busy the machine
    is."""
    budget = native.look_budget() / 1e9
    has_time = budget >= 1.5 * _look["cost"]
    if _look["left"] == 0:
        return
    if why == "height":
        if 12 * freed < blocks:
            return
        _look["live"] = _look["live"] or live
        longer = step == 0 and 0 < 6 * _look["live"] <= 5 * live
        higher = has_time and (2 * blocks >= 3 * _look["blocks"] or longer)
        twice = blocks >= 2 * _look["blocks"] or 0 < 2 * _look["live"] <= live
        if not higher and not (step == 0 and twice and freed >= 2 * _look["freed"]):
            return
        _look.update(blocks=max(blocks, _look["blocks"]), live=live, freed=freed)
    else:
        grows = why == "growth"
        if step < (2 if grows else 4) * _look["step"] or not (has_time or grows):
            return
        _look["step"] = step
    _look["left"] -= 1
    start = time.thread_time()
    _look["cost"] = _PRICE * capture_graph(native.MOMENT_look, seconds=max(budget, 1.0), nodes=20000)
    native.count_look_as(int((time.thread_time() - start) * 1e9), int(_look["cost"] * 1e9))


class Facts(FrameFacts):
    """What PyTorch knows and the interpreter does not: rows for the native walk."""

    def __init__(self, torch: Any, seconds: float) -> None:
        super().__init__()
        self.torch, self.access = torch, Access(torch)
        self.seconds, self.end = seconds, time.thread_time() + seconds
        self.tensors: list[Any] = []
        self.parts: list[Any] = []
        self.nodes: list[Any] = []
        self.kept: list[Any] = []
        self.known: set[Any] = set()
        self.visited: set[Any] = set()
        self.flags = 0
        of = self.access.getter
        self.is_view, self.base, self.device = self.access.tensor._is_view, of("_base"), self.access.tensor.get_device
        self.uses = None if self.access.transforming else self.access.use_count
        self.shapes: dict[Any, Any] = {}
        self.dtypes: dict[Any, Any] = {}

    def clear(self) -> None:
        rows = (self.tensors, self.edges, self.frames, self.parts, self.nodes, self.kept)
        for part in (*rows, self.known, self.visited):
            part.clear()

    def take(self, moment: int, number: int, nodes: int, objects: list[Any]) -> None:
        torch = self.torch
        functions = getattr(torch._C, "_functions", None)
        found = native.graph_scan(
            objects,
            torch.Tensor,
            getattr(functions, "AccumulateGrad", None),
            getattr(torch._C, "_FunctionBase", None),
        )
        if not found:
            return
        tensors, suspended, pools, of_graphs = found
        for node in of_graphs:
            self._meet(node)
        self._gather(tensors)
        self._say_what_is_not_known()
        self.add_frames()
        self.add_suspended(suspended)
        self._add_pools(pools)
        self._add_exit_functions()
        self.kept.extend((tensors, suspended, pools, of_graphs, self.nodes, found))
        settings = (
            int(max(self.end - time.thread_time(), self.seconds / 4) * 1e9),
            nodes,
            process.main and os.path.abspath(process.main),
            os.path.dirname(os.__file__) + os.sep,
            sys.modules,
            torch.Tensor,
            self.access.module,
            self.access.optimizer,
            self.flags,
            self._note(),
            getattr(sys.modules.get("numpy"), "ndarray", None),
        )
        native.graph(
            moment,
            number,
            objects,
            self.tensors,
            self.edges,
            self.frames,
            self.parts,
            list(sys.modules.values()),
            [*native.own_spaces(), self.__dict__],
            self.kept,
            settings,
        )

    def _say_what_is_not_known(self, _said: list[bool] = []) -> None:
        saved = getattr(getattr(self.torch._C, "_autograd", None), "SavedTensor", None)
        if self.nodes and saved is not None and not hasattr(saved, "data") and not _said:
            _said.append(True)
            text = "PyTorch %s does not tell what autograd graphs have saved for backward: its holders are not known"
            native.fact("agent_error", text % self.torch.__version__.partition("+")[0], 0)

    def _note(self) -> str:
        torch = self.torch
        try:
            if torch.is_autocast_enabled() and torch.is_autocast_cache_enabled():
                return "autocast weight cache: in use"
        except ours():
            pass
        return ""

    def _late(self) -> bool:
        if time.thread_time() < self.end:
            return False
        self.flags |= native.GRAPH_out_of_time
        return True

    # ---- tensors ----

    def _gather(self, tensors: list[Any]) -> None:
        own = self.uses(self.torch.empty(0)) if self.uses is not None else 0
        tensors[:] = [tensor for tensor in tensors if self.access.adopt(tensor)]
        for at, tensor in enumerate(tensors):
            if at & 255 == 0 and self._late():
                break
            self._add_tensor(tensor, own)
        done = 0
        while done < len(self.nodes) and len(self.edges) < _SAVED_LIMIT + len(tensors):
            if done & 255 == 0 and self._late():
                break
            self._add_node(self.nodes[done], own)
            done += 1
        if done < len(self.nodes):
            self.flags |= native.GRAPH_out_of_time

    def _add_tensor(self, tensor: Any, own: int) -> None:
        """A row for a tensor that has memory on a device or a graph, and what it refers to in C++."""
        access, key = self.access, id(tensor)
        if key in self.known:
            return
        self.known.add(key)
        try:
            if access.wrapped(tensor):
                inner = access.inside(tensor)
                if inner is not None:
                    self._add_wrapper(tensor, inner, own)
                return
            address = access.raw_address(tensor) if access.on_device(tensor) else 0
            leaf = access.is_leaf(tensor)
            node = None if leaf else access.graph(tensor)
            if not address and node is None:
                return
            flags = native.GRAPH_leaf if leaf else 0
            if access.requires_grad(tensor):
                flags |= native.GRAPH_requires_grad
            shape, dtype, size, device, base = "", "", 0, -1, None
            if address:
                shape, dtype = self._texts(tensor)
                size = access.nbytes(tensor) if access.nbytes is not None else access.bytes(tensor)
                device = self.device(tensor)
            if self.is_view(tensor):
                flags |= native.GRAPH_view
                base = self.base(tensor)
            holders = self.uses(tensor) - own if self.uses is not None else -1
            self.tensors.append((tensor, address, size, device, flags, shape, dtype, holders))
        except ours():
            return
        if base is not None:
            self.edges.append((tensor, base, native.EDGE_base, 0, 0))
            self._add_tensor(base, own)
        if node is not None:
            self.edges.append((tensor, node, native.EDGE_grad_fn, 0, 0))
            self._meet(node)
        elif flags & native.GRAPH_requires_grad and address:
            gradient = access.grad(tensor)
            if gradient is not None:
                self.edges.append((tensor, gradient, native.EDGE_grad, 0, 0))
                self._add_tensor(gradient, own)

    def _add_wrapper(self, tensor: Any, inner: Any, own: int) -> None:
        """What is left of a transform of torch.func: a tensor around another one, with a graph of its own."""
        self.tensors.append((tensor, 0, 0, -1, 0, "", "", -1))
        self.edges.append((tensor, inner, native.EDGE_held, "", 0))
        self._add_tensor(inner, own)
        node = None if self.access.is_leaf(tensor) else self.access.grad_fn(tensor)
        if node is not None:
            self.edges.append((tensor, node, native.EDGE_grad_fn, 0, 0))
            self._meet(node)

    def _texts(self, tensor: Any) -> tuple[str, str]:
        shape, dtype = self.access.shape(tensor), self.access.dtype(tensor)
        text = self.shapes.get(shape)
        if text is None:
            text = self.shapes[shape] = str(list(shape))
        name = self.dtypes.get(dtype)
        if name is None:
            name = self.dtypes[dtype] = dtype_name(dtype)
        return text, name

    # ---- autograd graphs ----

    def _meet(self, node: Any) -> None:
        if id(node) not in self.visited:
            self.visited.add(id(node))
            self.nodes.append(node)  # holds it: a node's identity is only stable while it is referenced

    def _add_node(self, node: Any, own: int) -> None:
        number = sequence_number(node)
        step = 0
        if number is None or number >= 1 << 62:
            number = 0
        else:
            step = native.step_of(number) + 1
        self.parts.append((node, number, step))
        try:
            for index, (following, _) in enumerate(node.next_functions):
                if following is not None:
                    self.edges.append((node, following, native.EDGE_next_function, index, 0))
                    self._meet(following)
        except ours():
            pass
        kind = type(node).__name__
        if kind == "AccumulateGrad":
            variable = node.variable
            self.edges.append((node, variable, native.EDGE_variable, 0, 0))
            self._add_tensor(variable, own)
            return
        for name in saved_names(node, kind) if saved_readable() else ():
            try:
                value = getattr(node, name)
                for one in value if type(value) is tuple else (value,):
                    saved = one.data
                    if saved is None:
                        continue
                    self.edges.append((node, saved, native.EDGE_saved, name[11:], 0))
                    if self.access.kind(saved) == "t":
                        self._add_tensor(saved, own)
            except ours():
                continue  # freed by backward, changed in place

    # ---- memory that no tensor shows ----

    def _add_exit_functions(self) -> None:
        """What the interpreter calls at its end, with its arguments: see exit_functions.hpp."""
        module: Any = sys.modules.get("atexit")
        if module is None or not (3, 10) <= sys.version_info < (3, 14):
            return
        try:
            found = native.exit_functions(process.on_exit, module._ncallbacks())
        except ours():
            return
        for part in found:
            self.edges.append((module, part, native.EDGE_held, "callbacks", 0))
        self.kept.append(found)

    def _add_pools(self, pools: list[Any]) -> None:
        """CUDA graphs and memory pools: the segments that are theirs alone."""
        if not pools:
            return
        try:
            snapshot = self.torch.cuda.memory_snapshot()
        except ours():
            return
        for pool in pools:
            try:
                key = tuple(pool.id) if hasattr(type(pool), "id") else tuple(pool.pool())
            except ours():
                continue
            for segment in snapshot:
                if tuple(segment.get("segment_pool_id", ())) == key and any(key):
                    self.edges.append(
                        (pool, segment["address"], native.EDGE_held, "segment", native.GRAPH_segment_edge)
                    )
