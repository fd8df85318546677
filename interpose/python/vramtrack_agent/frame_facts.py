# The frames of a graph of who holds whom: where each stands, and which variables hold what.

from __future__ import annotations

from . import native
from .code_files import is_user_file
from .dead import liveness_of
from .frames import all_frames, frame_locals, frame_name
from .process import is_hidden
from .ways import ATOMS, SUSPENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any


class FrameFacts:
    """Rows for the native walk: of frames, and of what their variables hold."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.edges: list[Any] = []

    def add_frames(self) -> None:
        depths: dict[Any, Any] = {}
        for frame, thread in all_frames():
            depth = depths[thread] = depths.get(thread, -1) + 1
            code = frame.f_code
            function = bool(code.co_flags & 1)
            flags = native.GRAPH_root | (0 if function else native.GRAPH_module_frame)
            self._add_frame(frame, frame, thread, depth, flags)
            self.edges.append((frame, frame.f_globals, native.EDGE_slot, "globals", 0))
            if function:
                self._add_locals(frame, frame, code)
            elif frame.f_locals is frame.f_globals:
                self._add_unread_globals(frame, code)

    def _add_frame(self, holder: Any, frame: FrameType, thread: int, depth: int, flags: int) -> None:
        code = frame.f_code
        line = frame.f_lineno or 0
        self.frames.append(
            (holder, thread, depth, flags, frame_name(frame), code.co_filename, line, code.co_firstlineno)
        )

    def _never_read_again(self, frame: FrameType, code: CodeType) -> set[str]:
        """Names of a frame of the user's own code that it does not read after this point."""
        live = liveness_of(code) if is_user_file(code.co_filename) else None
        if live is None:
            return set()
        later = live.live_after(frame.f_lasti)
        return {name for name in live.names if name not in later}

    def _add_unread_globals(self, frame: FrameType, code: CodeType) -> None:
        """The module holds its variables; that its code is done with some of them is known of its frame only."""
        for name in self._never_read_again(frame, code):
            value = frame.f_globals.get(name)
            if value is not None and id(type(value)) not in ATOMS:
                self.edges.append(
                    (frame, value, native.EDGE_local, name, native.GRAPH_never_read_again | native.GRAPH_borrowed)
                )

    def _add_locals(self, holder: Any, frame: FrameType, code: CodeType) -> None:
        dead = self._never_read_again(frame, code)
        values = frame_locals(frame, 1)
        for name, value in values.items():
            if id(type(value)) not in ATOMS:
                self.edges.append(
                    (holder, value, native.EDGE_local, name, native.GRAPH_never_read_again if name in dead else 0)
                )
        values.clear()

    def add_suspended(self, suspended: list[Any]) -> None:
        for o in suspended[:5000]:
            frame = getattr(o, SUSPENDED[id(type(o))])
            if frame is None or is_hidden(frame.f_code):
                continue
            self._add_frame(o, frame, 0, 0, native.GRAPH_suspended)
            self._add_locals(o, frame, frame.f_code)
