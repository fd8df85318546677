"""What a piece of work (a test, a notebook's cell) left on the GPU: the blocks that were not there when it began."""

import gc
from typing import Callable, Dict, List, NamedTuple, Optional, Set

from vramtrack import _process
from vramtrack._units import show
from vramtrack.report import Allocation, Report, Site

_MANY = 1_000_000  # no block may be left out of the comparison


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
    sites: List[Site]  # where it allocated, if that was wanted; those that ever held most at once first

    @property
    def bytes(self) -> int:
        return sum(group.bytes for group in self.groups)

    def without(self, is_theirs: Callable[[Allocation], bool]) -> "Left":
        """The same without blocks that somebody else lets go of."""
        groups = [Group(group.site, [block for block in group.blocks if not is_theirs(block)]) for group in self.groups]
        groups = sorted((group for group in groups if group.blocks), key=lambda one: -one.bytes)
        return self._replace(groups=groups)

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


class _Look(NamedTuple):
    """The process at one moment: of the last one, the next watch may make use."""

    activity: tuple  # the moment: how much was allocated and freed until then
    blocks: Set[tuple]  # what tells one block from another: where it is, how large, and who allocated it
    allocated: Dict[tuple, int]  # bytes that each stack allocated until then

    @classmethod
    def at(cls, activity: tuple, report: Optional[Report]) -> "_Look":
        if report is None:
            return cls(activity, set(), {})
        places = _places(report)
        blocks = {(block.address, block.bytes, places[block.site]) for block in report.allocations}
        return cls(activity, blocks, _allocated(report, places))


def _allocated(report: Report, places: Dict[int, tuple]) -> Dict[tuple, int]:
    sums: Dict[tuple, int] = {}
    for site in report.sites:
        if site.layer == report.layer:
            sums[places[site.id]] = sums.get(places[site.id], 0) + site.allocated_bytes
    return sums


def _activity(state: dict) -> tuple:
    return tuple((row["allocated_count"], row["freed_count"]) for row in state.get("totals", ()))


class Watch:
    """Begun when made. Only one at a time means something: the peak is the process's. `sites`: Left.sites is wanted."""

    _last = _Look((), set(), {})

    def __init__(self, sites: bool = False) -> None:
        gc.collect()  # what only cycles hold is nobody's: when it goes is chance
        self.sites = sites
        state = _process.live()
        self.live_bytes = state.get("live_bytes", 0)
        if _activity(state) != Watch._last.activity:
            needed = self.live_bytes or (sites and state.get("totals"))
            Watch._last = _Look.at(_activity(state) if needed else (), self._look() if needed else None)
        self.before = Watch._last
        _process.begin_window()

    @staticmethod
    def _look() -> Optional[Report]:
        return _process.snapshot(max_allocations=_MANY)

    def end(self) -> Left:
        """What is alive and was not when this began, and the peak between."""
        state = _process.live()
        peak = max(state.get("window_peak_bytes", 0) - self.live_bytes, 0)
        gc.collect()
        state = _process.live()
        report = self._look() if state.get("live_bytes") or (self.sites and peak) else None
        Watch._last = _Look.at(_activity(state) if report else (), report)
        if report is None:
            return Left([], 0, peak, [])
        sites = {site.id: site for site in report.sites}
        places = _places(report)
        found: Dict[int, List[Allocation]] = {}
        kept = 0
        for block in report.allocations:
            if block.layer != report.layer or (block.address, block.bytes, places[block.site]) in self.before.blocks:
                continue
            if _is_kept(sites[block.site]):
                kept += block.bytes
            else:
                found.setdefault(block.site, []).append(block)
        groups = sorted((Group(sites[number], blocks) for number, blocks in found.items()), key=lambda one: -one.bytes)
        allocated = _allocated(report, places)
        own = [site for site in report.sites if site.layer == report.layer and not _is_kept(site) and
               allocated[places[site.id]] > self.before.allocated.get(places[site.id], 0)]
        return Left(groups, kept, max(peak - kept, 0), sorted(own, key=lambda site: -site.peak_bytes))


def _is_kept(site: Site) -> bool:
    """Made once and kept for reuse: workspaces of the math libraries."""
    return site.verdict == "cache" or site.role == "workspace"
