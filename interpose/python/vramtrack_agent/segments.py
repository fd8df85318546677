# What no event says of the segments of PyTorch's allocator. Under --history alone, for `vramtrack replay`: which stream or
# private pool each of them serves (the blocks of one segment all come from there), and what those blocks were asked for
# that got more. Where there are CUDA graphs or memory pools: how much their private pools keep.

from __future__ import annotations

from . import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHARED = ((), (0, 0))  # the pool of everything else
_MOST_BLOCKS = 200000  # of which a snapshot is taken in half a second
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


def note_pools(torch: Any, live_blocks: int, n: int) -> None:
    """The memory of private pools, which nobody else is given, for out-of-memory event `n` or the end."""
    if live_blocks > _MOST_BLOCKS or torch.cuda.get_allocator_backend() != "native":
        return
    devices: dict[int, tuple[set[Any], list[int]]] = {}
    for one in torch.cuda.memory_snapshot():
        pool = tuple(one.get("segment_pool_id", (0, 0)))
        if pool in _SHARED:
            continue
        pools, sums = devices.setdefault(one["device"], (set(), [0, 0]))
        pools.add(pool)
        sums[0] += one["total_size"]
        sums[1] += one["active_size"]
    if devices:
        rows = [(device, len(pools), *sums) for device, (pools, sums) in devices.items()]
        native.fact("private_pools", rows, n)
