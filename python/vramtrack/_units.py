"""Sizes as people write and read them."""

import re

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_size(text) -> int:
    """"64 MiB", "1.5GiB", 1048576 -> bytes. Raises ValueError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*", text) if isinstance(text, str) else None
    if not found or found.group(2).lower() not in _UNITS:
        raise ValueError('%r is no size: write it as "64 MiB" or as a number of bytes' % (text,))
    return int(float(found.group(1)) * _UNITS[found.group(2).lower()])


def show(size: int) -> str:
    """Bytes as text: 67108864 -> "64.0 MiB"."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return "%d B" % size if unit == "B" else "%.1f %s" % (value, unit)
        value /= 1024
    return "%.2f TiB" % value
