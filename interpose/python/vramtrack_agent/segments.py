# Under --history alone: which stream or private pool of PyTorch's allocator each of its segments serves. The blocks of
# one segment all come from there, and no event says so: `vramtrack replay` needs it.


def note_segments(torch):
    """The segments that are there now; those that went before any look are not known."""
    if not native_history():
        return
    import json

    now = native_ticks()
    rows = [[now, one["device"], one["address"], one["total_size"], one["stream"], list(one.get("segment_pool_id", ()))]
            for one in torch.cuda.memory_snapshot()]
    if rows:
        native_note("segments[]", json.dumps(rows, separators=(",", ":")), 0)
