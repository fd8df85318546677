# The facts of every tensor, as the text of one note. There may be hundreds of thousands: the text is put together here
# from parts that repeat (shapes, types, the container that holds many), which costs a fifth of a JSON encoder.

from __future__ import annotations

import json

from .json_text import without_lone_surrogates
from .tensors import dtype_name
from .ways import INDEX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .holders import Walk
    from .roles import Roles
    from .graph import Saved
    from .tensors import Access


class HolderText:
    """Holder chains as JSON text; what leads to a container is made once for all its elements."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.containers: dict[
            Any, Any
        ] = {}  # position -> text up to the index, None where the whole has to be made each time

    def of(self, at: int) -> str:
        walk = self.walk
        if walk.kinds[at] == INDEX:
            parent = walk.parents[at]
            before = self.containers.get(parent, self)
            if before is self:
                text = walk.text(parent)
                before = json.dumps(walk.describe(parent))[:-1] if 0 < len(text) < 180 else None
                self.containers[parent] = before
            if before is not None:
                return '%s[%d]"' % (before, walk.labels[at])
        return json.dumps(walk.describe(at))


def tensor_note(
    access: Access, walk: Walk, tensors: list[Any], position: dict[int, int], roles: Roles, saved: dict[int, Saved]
) -> str:
    """{"tensors":[{"a","s","d","n","r","h","q"}]}: one entry for each address."""
    parts, held_in_c, done = [], [], set()
    holders = HolderText(walk)
    shapes: dict[Any, str] = {}
    dtypes: dict[int, str] = {}

    def entry(tensor: Any, address: int, at: int | None) -> None:
        role, name = roles.of.get(address) or ("saved_for_backward" if address in saved else "python", "")
        if not name and address in saved:
            name = "%s.%s" % saved[address][3:5]
        shape, dtype = access.shape(tensor), access.dtype(tensor)
        shape_text = shapes.get(shape)
        if shape_text is None:
            shape_text = shapes[shape] = json.dumps(list(shape), separators=(",", ":"))
        dtype_text = dtypes.get(id(dtype))
        if dtype_text is None:
            dtype_text = dtypes[id(dtype)] = dtype_name(dtype)
        parts.append(
            '{"a":%d,"s":%s,"d":"%s","n":%s,"r":"%s","h":%s,"q":%d}'
            % (
                address,
                shape_text,
                dtype_text,
                json.dumps(name) if name else '""',
                role,
                holders.of(at) if at is not None else '""',
                access.requires_grad(tensor),
            )
        )

    for tensor in tensors:
        address, at = access.address(tensor), position.get(id(tensor))
        if at is None:
            held_in_c.append(tensor)
        elif address not in done:
            done.add(address)
            entry(tensor, address, at)
    for tensor in held_in_c:
        address = access.address(tensor)
        if address not in done:
            done.add(address)
            entry(tensor, address, None)
    for address, (size, shape, dtype, node, name) in saved.items():
        if address not in done:
            parts.append(
                json.dumps(
                    {
                        "a": address,
                        "s": shape,
                        "d": dtype,
                        "n": "%s.%s" % (node, name),
                        "r": "saved_for_backward",
                        "h": "autograd graph",
                        "q": 0,
                    }
                )
            )
    held_in_c.clear()
    return without_lone_surrogates('{"tensors":[%s]}' % ",".join(parts))
