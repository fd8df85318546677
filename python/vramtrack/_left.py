"""What a piece of work (a test, a notebook's cell) left on the GPU: the blocks that were not there when it began."""

import gc
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from vramtrack import _process
from vramtrack._units import show
from vramtrack.report import Allocation, Report, Site

_MANY = 1_000_000  # no block may be left out of the comparison
_KEEP = ("cache",)  # made once and kept for reuse: workspaces of the math libraries


class Group(NamedTuple):
    """The blocks of one call site."""

    site: Site
    blocks: List[Allocation]

    @property
    def bytes(self) -> int:
        return sum(block.bytes for block in self.blocks)

    @property
    def holders(self) -> List[str]:
        """Who holds them, the most bytes first."""
        sums: Dict[str, int] = {}
        for block in self.blocks:
            if block.holder:
                sums[block.holder] = sums.get(block.holder, 0) + block.bytes
        return sorted(sums, key=lambda name: -sums[name])


class Left(NamedTuple):
    """Result of Watch.end()."""

    groups: List[Group]  # the most bytes first, without what the libraries keep for reuse
    kept_bytes: int  # what those keep
    peak_bytes: int  # the most that was alive at once, above the beginning
    report: Optional[Report]

    @property
    def bytes(self) -> int:
        return sum(group.bytes for group in self.groups)

    def lines(self, most: int = 8) -> List[str]:
        """One line for each call site, with its source line and holder."""
        result = []
        for group in self.groups[:most]:
            place = group.site.line
            count = len(group.blocks)
            result.append("%10s in %d block%s  %s" % (show(group.bytes), count, "" if count == 1 else "s", place or "?"))
            if place is not None and place.source:
                result.append("              " + place.source.strip())
            holders = group.holders
            if holders:
                more = " and %d more" % (len(holders) - 3) if len(holders) > 3 else ""
                result.append("              held by %s%s" % (", ".join(holders[:3]), more))
            else:
                result.append("              no holder was found in Python")
        if len(self.groups) > most:
            result.append("%10s at %d more call sites" % (
                show(sum(group.bytes for group in self.groups[most:])), len(self.groups) - most))
        return result


def _places(report: Report) -> Dict[int, tuple]:
    """Site id -> its stack as a value. The times of two reports are no measure: each has the clock's rate as known then."""
    return {site.id: tuple((frame.function, frame.file, frame.line) for frame in site.stack) for site in report.sites}


def _keys(report: Report) -> Set[tuple]:
    """What tells one block from another: where it is, how large, and who allocated it."""
    places = _places(report)
    return {(block.address, block.bytes, places[block.site]) for block in report.allocations}


class Watch:
    """Begun when made. Only one at a time means something: the peak is the process's."""

    _known: Tuple[Optional[tuple], Set[tuple]] = (None, set())  # the last look: activity, blocks

    def __init__(self) -> None:
        gc.collect()  # what only cycles hold is nobody's: when it goes is chance
        self.layer = "tensor"
        state = _process.live()
        self.live_bytes = state.get("live_bytes", 0)
        self.before = self._blocks(state)
        _process.begin_window()

    @classmethod
    def _blocks(cls, state: dict) -> Set[tuple]:
        """What is alive, by _key."""
        if not state.get("live_bytes"):
            return set()
        activity = tuple((row["allocated_count"], row["freed_count"]) for row in state["totals"])
        known, blocks = cls._known
        if known != activity:
            report = _process.snapshot(max_allocations=_MANY)
            cls.remember(report, activity)
            blocks = cls._known[1]
        return blocks

    @classmethod
    def remember(cls, report: Optional[Report], activity: tuple) -> None:
        """The next watch may begin where this one ended, without another look."""
        cls._known = (activity, _keys(report) if report else set())

    def end(self) -> Left:
        """What is alive and was not when this began, and the peak between."""
        state = _process.live()
        peak = max(state.get("window_peak_bytes", 0) - self.live_bytes, 0)
        gc.collect()
        state = _process.live()
        activity = tuple((row["allocated_count"], row["freed_count"]) for row in state.get("totals", ()))
        report = None
        if state.get("live_bytes"):
            report = _process.snapshot(max_allocations=_MANY)
        self.remember(report, activity)
        if report is None:
            return Left([], 0, peak, None)
        sites = {site.id: site for site in report.sites}
        places = _places(report)
        found: Dict[int, List[Allocation]] = {}
        kept = 0
        for block in report.allocations:
            if block.layer != report.layer or (block.address, block.bytes, places[block.site]) in self.before:
                continue
            if sites[block.site].verdict in _KEEP or sites[block.site].role == "workspace":
                kept += block.bytes
            else:
                found.setdefault(block.site, []).append(block)
        groups = sorted((Group(sites[number], blocks) for number, blocks in found.items()), key=lambda one: -one.bytes)
        return Left(groups, kept, max(peak - kept, 0), report)
