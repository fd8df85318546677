# Under --history alone, since no event says so and `vramtrack replay` needs it: which stream or private pool of
# PyTorch's allocator each of its segments serves (the blocks of one segment all come from there), and what those blocks
# were asked for that got more.

from __future__ import annotations

from . import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ROUNDING = 512  # every block has up to so much more than was asked for


def note_segments(torch: Any) -> None:
    """The segments that are there now; those that went before any look are not known."""
    if not native.history():
        return
    now = native.ticks()
    segments = torch.cuda.memory_snapshot()
    rows = [
        (now, one["device"], one["address"], one["total_size"], one["stream"], one.get("segment_pool_id", ()))
        for one in segments
    ]
    if not rows:
        return
    native.fact("segments", rows, 0)
    blocks = [(one["device"], block) for one in segments for block in one["blocks"]]
    if not all("requested_size" in block and "address" in block for _, block in blocks):
        return  # PyTorch before 2.1
    larger = [
        (device, block["address"], block["requested_size"])
        for device, block in blocks
        if block["state"] == "active_allocated" and block["size"] - block["requested_size"] >= _ROUNDING
    ]
    native.fact("requested", [(now, larger)], 0)
