# What the traced process gives the agent (natives.cpp), as types, and as a stand-in wherever the package is imported
# without it: facts are kept in a list, and no event has been recorded. Not embedded.

from __future__ import annotations

from typing import Any

facts: list[tuple[str, Any, int]] = []

# contract/heap_graph.def and heap_graph.hpp
MOMENT_exit = 0
MOMENT_out_of_memory = 1
MOMENT_request = 2
MOMENT_look = 3
EDGE_slot = 0
EDGE_attribute = 1
EDGE_key = 2
EDGE_key_number = 3
EDGE_key_other = 4
EDGE_index = 5
EDGE_member = 6
EDGE_local = 7
EDGE_global = 8
EDGE_closure = 9
EDGE_default_value = 10
EDGE_storage = 11
EDGE_grad_fn = 12
EDGE_next_function = 13
EDGE_saved = 14
EDGE_variable = 15
EDGE_grad = 16
EDGE_context = 17
EDGE_hook = 18
EDGE_base = 19
EDGE_class_of = 20
EDGE_held = 21
EDGE_accumulator = 22
GRAPH_root = 1
GRAPH_requires_grad = 1 << 5
GRAPH_leaf = 1 << 6
GRAPH_view = 1 << 7
GRAPH_suspended = 1 << 10
GRAPH_module_frame = 1 << 11
GRAPH_never_read_again = 1
GRAPH_borrowed = 2
GRAPH_segment_edge = 4
GRAPH_out_of_time = 1


def on_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    """torch's hook after each step of an optimizer."""


def enter(name: str, *arguments: Any) -> None:
    """Calls a function of install.py by name, unseen by trace and profile functions."""


def step_of(sequence_number: int) -> int:
    """The optimizer step during which a node of an autograd graph was made, -1 when it is not known."""
    return -1


def fact(name: str, value: Any, n: int) -> bool:
    """Writes a fact by its row in contract/facts.def; of out-of-memory event `n`, or 0. False: not recorded."""
    facts.append((name, value, n))
    return True


def source(name: str) -> str:
    """The text of an embedded file."""
    return ""


def last_oom() -> int:
    """The number of this thread's last out-of-memory event."""
    return 0


def state() -> tuple[int, int, int, int, int]:
    """(step, live bytes, live blocks, total that asked for the pending look, blocks freed so far)"""
    return 0, 0, 0, 0, 0


def stop_after() -> int:
    """After how many steps or calls of the model the process is to end; 0: not at all."""
    return 0


def history() -> bool:
    """Whether every event is logged."""
    return False


def heights() -> int:
    """A number that grows whenever the tensor layer's live or reserved bytes reach a new height."""
    return 0


def look_budget() -> int:
    """Processor time that looks may still take, in ns."""
    return 0


def count_look_as(took: int, counts: int) -> None:
    """A part of the look that runs took so much processor time and counts as so much, both in ns."""


def suspect(flag: int) -> None:
    """A graph spans several steps: look more often."""


def fork(address: int, file: str, line: int) -> None:
    """os.fork is about to run; where NumPy's global generator keeps its state, and who forks."""


def forked() -> None:
    """The forked child has begun."""


def interrupt() -> None:
    """Delivers a KeyboardInterrupt when the script runs again."""


def graph_scan(
    objects: list[Any], tensor: type, node: type | None, function: type | None
) -> tuple[list[Any], list[Any], list[Any], list[Any]] | None:
    """(tensors, suspended frames' owners, memory pools, autograd nodes) among `objects`; `node` and `function` stand for
    PyTorch's own nodes and for custom functions."""
    return None


def exit_functions(registered: Any, count: int) -> list[Any]:
    """What `atexit` keeps, found by one function that is registered and how many there are."""
    return []


def graph(
    moment: int,
    number: int,
    objects: list[Any],
    tensors: list[Any],
    edges: list[Any],
    frames: list[Any],
    parts: list[Any],
    modules: list[Any],
    hidden: list[Any],
    kept: list[Any],
    settings: tuple[Any, ...],
) -> bool:
    """Writes the graph of who holds whom."""
    return False


def label(number: int) -> tuple[int, int] | None:
    """(address, address of its class) of the module with this label; (0, 0): of none."""
    return None


def block(address: int, device: int) -> tuple[int, int, int] | None:
    """(call site, birth in ticks, bytes) of the live block of the tensor layer that begins at `address`."""
    return None


def ticks() -> int:
    """The trace's clock."""
    return 0


def end() -> None:
    """The process is about to end: nothing more is recorded."""


def own_spaces() -> list[dict[str, Any]]:
    """The namespaces of the agent (loader.py)."""
    return [globals()]
