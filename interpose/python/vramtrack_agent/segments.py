# Under --history alone: which stream or private pool of PyTorch's allocator each of its segments serves. The blocks of
# one segment all come from there, and no event says so: `vramtrack replay` needs it.

from __future__ import annotations

import json

from . import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def note_segments(torch: Any) -> None:
    """The segments that are there now; those that went before any look are not known."""
    if not native.history():
        return
    now = native.ticks()
    rows = [
        [now, one["device"], one["address"], one["total_size"], one["stream"], list(one.get("segment_pool_id", ()))]
        for one in torch.cuda.memory_snapshot()
    ]
    if rows:
        native.note("segments[]", json.dumps(rows, separators=(",", ":")), 0)
