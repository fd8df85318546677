"""vramtrack's reports as Python objects. docs/report-schema.md says what each field means; `Report.data` is the whole
document for what has no field here."""

import json
import os
import tempfile
from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional, Union


class ReportError(ValueError):
    """The file is no report of vramtrack, or one of a newer major schema."""


@dataclass
class Frame:
    """One frame of a stack. `line` is 0 where it is not known."""

    kind: str
    function: str
    file: Optional[str]
    line: Optional[int]
    module: Optional[str] = None
    inlined: bool = False
    source: Optional[str] = None

    def __str__(self) -> str:
        file = self.file or ""
        here = os.path.join(os.getcwd(), "")
        file = file[len(here):] if file.startswith(here) else file  # as a person at this place would write it
        place = "%s:%s" % (file, self.line) if file and self.line else self.module or "?"
        return "%s  %s" % (place, self.function)


@dataclass
class Total:
    """Totals of one (layer, device, kind). Bytes."""

    layer: str
    device: int
    kind: str
    live_bytes: int
    live_count: int
    peak_bytes: int
    peak_at_time: Optional[float] = None
    allocated_bytes: int = 0
    allocated_count: int = 0
    freed_bytes: int = 0
    freed_count: int = 0


@dataclass
class Site:
    """One call site: what it allocated and what of it is alive. `stack` is innermost first; in a backward pass
    `backward_of` is the stack of the forward operation that it belongs to."""

    id: int
    layer: str
    kind: str
    device: int
    owner: str
    live_bytes: int
    live_count: int
    peak_bytes: int
    allocated_bytes: int
    allocated_count: int
    verdict: str
    stack: List[Frame] = field(default_factory=list)
    module: Optional[str] = None
    range: Optional[str] = None
    phase: Optional[str] = None
    role: Optional[str] = None
    backward_of: Optional[List[Frame]] = None

    @property
    def line(self) -> Optional[Frame]:
        """The frame that a user would call the place: the innermost Python frame that is not a library's, else the
        innermost Python frame, else the innermost frame. Of a backward pass, that of its forward operation."""
        python = [frame for frame in self.backward_of or self.stack if frame.kind == "python"]
        own = [frame for frame in python if frame.file and "site-packages" not in frame.file and
               "/lib/python" not in frame.file and not frame.file.startswith("<")]
        return (own or python or self.stack or [None])[0]


@dataclass
class Allocation:
    """One live block. `tensor` is the report's object about the tensor in it, where there is one."""

    address: int
    bytes: int
    layer: str
    kind: str
    device: int
    site: int
    time: float
    step: Optional[int] = None
    tensor: Optional[Dict[str, Any]] = None

    @property
    def holder(self) -> Optional[str]:
        """Who holds the tensor, as an expression (`__main__.losses[3]`)."""
        return (self.tensor or {}).get("holder") or None


@dataclass
class Holder:
    """A variable, attribute or container that keeps memory alive, and how much would go with it."""

    id: int
    path: str
    retained_bytes: int
    blocks: int
    parent: Optional[int] = None
    type: Optional[str] = None
    kind: Optional[str] = None
    file: Optional[str] = None
    line: Optional[int] = None
    own_bytes: int = 0
    verdict: Optional[str] = None


@dataclass
class Finding:
    """One diagnosis: `fix` says what to do, `vramtrack explain CODE` more."""

    code: str
    severity: str
    title: str
    message: str
    fix: str
    site: Optional[int] = None
    file: Optional[str] = None
    line: Optional[int] = None
    variable: Optional[str] = None
    bytes: Optional[int] = None
    evidence: Dict[str, Any] = field(default_factory=dict)
    docs: Optional[str] = None


def _make(kind: Any, values: Dict[str, Any]) -> Any:
    """A dataclass from an object of the document: its own fields; keys of newer reports are left in Report.data."""
    return kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})


@dataclass
class Report:
    """A report (`vramtrack-report/1`)."""

    data: Dict[str, Any]
    path: Optional[str]
    at: str
    frames: List[Frame]
    totals: List[Total]
    sites: List[Site]
    allocations: List[Allocation]
    holders: List[Holder]
    findings: List[Finding]

    @classmethod
    def load(cls, path: Union[str, "os.PathLike[str]"], at: Optional[str] = None) -> "Report":
        """Reads a report (.json), or makes one of a trace (.vtrace; `at`: "exit", "peak", "live", "oom", "oom:N").

        Raises OSError where the file cannot be read, ReportError where it is none.
        """
        name = os.fspath(path)
        if not name.endswith(".vtrace"):
            with open(name, encoding="utf-8") as source:
                try:
                    data = json.load(source)
                except ValueError as error:
                    raise ReportError("%s: no JSON report: %s" % (name, error)) from None
            return cls.from_data(data, name)
        from vramtrack import _program

        open(name, "rb").close()  # an OSError for what cannot be read
        with tempfile.TemporaryDirectory(prefix="vramtrack-") as folder:
            made = os.path.join(folder, "report.json")
            try:
                _program.run(["report", name, "--format", "json", "-o", made] + (["--at", at] if at else []))
            except RuntimeError as error:
                raise ReportError(str(error)) from None
            report = cls.load(made)
        report.path = name
        return report

    @classmethod
    def from_data(cls, data: Any, path: Optional[str] = None) -> "Report":
        """A report from its parsed document."""
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != "vramtrack-report/1":
            raise ReportError("%s: not a report of vramtrack (schema %r; vramtrack-report/1 is read)" % (path, schema))
        try:
            frames = [_make(Frame, values) for values in data["frames"]]
            sites = [_make(Site, {**values, "stack": [frames[index] for index in values["stack"]],
                                  "backward_of": [frames[index] for index in values.get("backward_of") or ()] or None})
                     for values in data["sites"]]
            allocations = [_make(Allocation, {**values, "address": int(values["address"], 16)})
                           for values in data["allocations"]]
            return cls(data, path, data["at"], frames, [_make(Total, values) for values in data["totals"]], sites,
                       allocations, [_make(Holder, values) for values in data.get("holders") or []],
                       [_make(Finding, values) for values in data["findings"]])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ReportError("%s: a damaged report: %r" % (path, error)) from None

    @property
    def layer(self) -> str:
        """The layer that a user looks at: "tensor" where a caching allocator was used, else "cuda"."""
        return "tensor" if any(total.layer == "tensor" for total in self.totals) else "cuda"

    @property
    def live_bytes(self) -> int:
        """Bytes alive at the report's moment, in `layer`, over all devices."""
        return sum(total.live_bytes for total in self._main_totals())

    @property
    def peak_bytes(self) -> int:
        """The highest sum of the devices' peaks, in `layer`."""
        return sum(total.peak_bytes for total in self._main_totals())

    def _main_totals(self) -> List[Total]:
        return [total for total in self.totals if total.layer == self.layer and total.kind in ("block", "all") and
                total.device >= 0]

    def site(self, number: int) -> Site:
        """The site of that id. Raises KeyError."""
        for site in self.sites:
            if site.id == number:
                return site
        raise KeyError(number)

    def to_pandas(self, table: str = "sites") -> Any:
        """A table of the report ("sites", "allocations", "holders", "findings", "totals") as a pandas.DataFrame.

        Raises ImportError where pandas is not installed, ValueError for another table.
        """
        if table not in ("sites", "allocations", "holders", "findings", "totals"):
            raise ValueError("no table %r: sites, allocations, holders, findings, totals" % table)
        import pandas

        rows = [{one.name: getattr(row, one.name) for one in fields(row)} for row in getattr(self, table)]
        if table == "sites":
            for row, site in zip(rows, self.sites):
                row["line"] = str(site.line) if site.line else None
                row["stack"] = " < ".join(str(frame) for frame in site.stack)
                row["backward_of"] = " < ".join(str(frame) for frame in site.backward_of or ()) or None
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return "<vramtrack.Report at %s: %d bytes alive, %d sites, %d findings>" % (
            self.at, self.live_bytes, len(self.sites), len(self.findings))
