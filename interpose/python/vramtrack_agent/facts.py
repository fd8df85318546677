# The facts of every tensor. There may be hundreds of thousands: what repeats (shapes, types, the container that holds
# many) is made once.

from __future__ import annotations

from .tensors import dtype_name
from .ways import INDEX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .graph import Saved
    from .holders import Walk
    from .roles import Roles
    from .tensors import Access


class HolderText:
    """Holder chains; what leads to a container is made once for all its elements."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        # position -> text up to the index, None where the whole has to be made each time
        self.containers: dict[int, str | None] = {}

    def of(self, at: int) -> str:
        walk = self.walk
        if walk.kinds[at] == INDEX:
            parent = walk.parents[at]
            if parent in self.containers:
                before = self.containers[parent]
            else:
                short = 0 < len(walk.text(parent)) < 180
                before = self.containers[parent] = walk.describe(parent) if short else None
            if before is not None:
                return "%s[%d]" % (before, walk.labels[at])
        return walk.describe(at)


def tensor_rows(
    access: Access, walk: Walk, tensors: list[Any], position: dict[int, int], roles: Roles, saved: dict[int, Saved]
) -> list[tuple[Any, ...]]:
    """The fact `tensors`: one row for each address."""
    rows: list[tuple[Any, ...]] = []
    held_in_c, done = [], set()
    holders = HolderText(walk)
    shapes: dict[Any, Any] = {}
    dtypes: dict[int, str] = {}

    def add(tensor: Any, address: int, at: int | None) -> None:
        role, name = roles.of.get(address) or ("saved_for_backward" if address in saved else "python", "")
        if not name and address in saved:
            name = "%s.%s" % saved[address][3:5]
        dtype = access.dtype(tensor)
        dtype_text = dtypes.get(id(dtype))
        if dtype_text is None:
            dtype_text = dtypes[id(dtype)] = dtype_name(dtype)
        holder = holders.of(at) if at is not None else ""
        shape = access.shape(tensor)
        rows.append((address, shapes.setdefault(shape, shape), dtype_text, name, role, holder, access.requires_grad(tensor)))

    for tensor in tensors:
        address, at = access.address(tensor), position.get(id(tensor))
        if at is None:
            held_in_c.append(tensor)
        elif address not in done:
            done.add(address)
            add(tensor, address, at)
    for tensor in held_in_c:
        address = access.address(tensor)
        if address not in done:
            done.add(address)
            add(tensor, address, None)
    for address, (size, shape, dtype, node, name) in saved.items():
        if address not in done:
            whole_name = "%s.%s" % (node, name)
            rows.append((address, shape, dtype, whole_name, "saved_for_backward", "autograd graph", False))
    held_in_c.clear()
    return rows
