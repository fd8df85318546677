# Autograd graphs: how far one reaches (nodes, steps spanned, uses of one parameter) and what it keeps for backward.
# Reads nodes only: `_saved_x` would run unpack hooks (and re-run a checkpointed forward), `_raw_saved_x` does not.

from __future__ import annotations

from . import native
from .process import ours
from .tensors import dtype_name
from .threads import saved_readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple

    from .tensors import Access

    Saved = Tuple[int, list[int], str, str, str]  # bytes, shape, dtype, type of the node, name

_TOP_SEQUENCE = 1 << 62  # AccumulateGrad's number is 2^64 - 1
_FUSED_RNN = ("CudnnRnnBackward0", "MiopenRnnBackward0")  # one node for all time steps
_raw_names: dict[str, tuple[str, ...]] = {}  # node type name -> names of its raw saved values; strings only


def saved_names(node: Any, kind: str) -> tuple[str, ...]:
    """Names of the raw saved values of a node of this type."""
    names = _raw_names.get(kind)
    if names is None:
        names = _raw_names[kind] = tuple(n for n in dir(type(node)) if n.startswith("_raw_saved_"))
    return names


class Span:
    """What a bounded walk over the graph of some tensors saw."""

    def __init__(self) -> None:
        self.nodes = 0
        self.complete = True
        self.steps: set[Any] = set()
        self.uses: dict[Any, Any] = {}  # id of an AccumulateGrad node -> in-edges
        self.most_used = 0
        self.most_used_variable = 0  # id of the parameter
        self.types: dict[Any, Any] = {}
        self.same_type = ""
        self.saved_bytes = 0
        self.on_device = False  # a parameter of it is, of the first hundred
        self.saved: dict[Any, Any] = {}  # address -> (bytes, shape, dtype, node type, name)
        self.sequence = 0  # time steps of the longest fused RNN
        self.sequence_saved: dict[Any, Any] = {}  # address -> bytes that fused RNNs keep for each of their time steps


def walk_graph(access: Access, starts: list[Any], limit: int, saved: bool = False) -> Span:
    """Walks the graphs of `starts` (nodes) up to `limit` nodes. With `saved`, what the nodes keep is listed too."""
    span = Span()
    stack = [node for node in starts if node is not None]
    visited = set(stack)  # holds the nodes: their identity is only stable while referenced
    leaves: dict[Any, Any] = {}
    while stack:
        node = stack.pop()
        span.nodes += 1
        if span.nodes > limit:
            span.complete = False
            break
        kind = type(node).__name__
        span.types[kind] = span.types.get(kind, 0) + 1
        if kind != "AccumulateGrad":
            number = sequence_number(node)
            if number is not None and number < _TOP_SEQUENCE:
                span.steps.add(native.step_of(number))
            readable = (saved or kind in _FUSED_RNN) and saved_readable()
            if readable and kind in _FUSED_RNN:
                _measure_sequence(access, node, span)
            if readable and saved:
                _collect_saved(access, node, kind, span)
        for following, _ in node.next_functions:
            if following is None:
                continue
            if type(following).__name__ == "AccumulateGrad":
                leaves[following] = leaves.get(following, 0) + 1
            if following not in visited:
                visited.add(following)
                stack.append(following)
    if leaves:
        most = max(leaves, key=lambda leaf: leaves[leaf])
        span.most_used = leaves[most]
        try:
            span.most_used_variable = id(most.variable)
            span.on_device = any(access.address(leaf.variable) for leaf in list(leaves)[:100])
        except ours():
            pass
        most = None
    span.steps.discard(-1)
    if saved:
        span.saved_bytes = sum(entry[0] for entry in span.saved.values())
    visited.clear()
    leaves.clear()
    return span


def sequence_number(node: Any) -> int | None:
    try:
        return node._sequence_nr()
    except ours():
        return None


def _measure_sequence(access: Access, node: Any, span: Span) -> None:
    """Length of the sequence that nn.LSTM, nn.GRU or nn.RNN ran over in one call, and what it keeps in proportion to it:
    input, output and the reserve. Once backward has freed those, as it has where cuDNN's work space for it makes the
    peak, the length is told by the shape that the gradient of the output has."""
    try:
        kept: Any = [
            getattr(node, name).data for name in ("_raw_saved_input", "_raw_saved_result0", "_raw_saved_result3")
        ]
        packed = node._saved_batch_sizes
        shape = node._input_metadata[0].shape if kept[0] is None else access.shape(kept[0])
        length = len(packed) or shape[1 if node._saved_batch_first else 0]
        for tensor in kept:
            if tensor is not None and access.kind(tensor) == "t" and access.address(tensor):
                span.sequence_saved[access.address(tensor)] = access.bytes(tensor)
        span.sequence = max(span.sequence, int(length))
    except ours():
        pass  # another PyTorch names them differently
    kept = tensor = None


def _collect_saved(access: Access, node: Any, kind: str, span: Span) -> None:
    for name in saved_names(node, kind):
        try:
            value = getattr(node, name)
            values = value if type(value) is tuple else (value,)
            for one in values:
                tensor = one.data
                if tensor is not None and access.kind(tensor) == "t":
                    address = access.address(tensor)
                    if address and address not in span.saved:
                        span.saved[address] = (
                            access.bytes(tensor),
                            list(access.shape(tensor)),
                            dtype_name(access.dtype(tensor)),
                            kind,
                            name[11:],
                        )
                tensor = None
        except ours():
            continue  # freed by backward, changed in place, packed by a hook
    state = getattr(node, "__dict__", None)
    if state:
        for name, tensor in list(state.items()):
            if access.kind(tensor) == "t":
                address = access.address(tensor)
                if address and address not in span.saved:
                    span.saved[address] = (
                        access.bytes(tensor),
                        list(access.shape(tensor)),
                        dtype_name(access.dtype(tensor)),
                        kind,
                        "ctx." + str(name),
                    )
