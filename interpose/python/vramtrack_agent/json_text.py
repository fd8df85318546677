# Notes as the trace takes them.

from __future__ import annotations

import json
import re

from . import native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_note(key: Any, value: Any, n: int) -> None:
    native.note(key, without_lone_surrogates(json.dumps(value, separators=(",", ":"))), n)


def without_lone_surrogates(text: str) -> str:
    """JSON as the trace takes it. A path may hold bytes that are not text: their escapes are no valid UTF-8."""
    return re.sub(r"\\ud[89a-f][0-9a-f]{2}", "?", text) if "\\ud" in text else text
