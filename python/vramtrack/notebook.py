"""`%load_ext vramtrack`: what a cell leaves on the GPU, its peak, and who holds it.

    %%vramtrack        runs the cell, then shows what it left behind
    %vramtrack         what lives now, by call site
    %vramtrack save FILE    keeps the report of now as JSON
    %vramtrack forget       lets go of what IPython holds by itself: the last results and the last exception

The kernel has to run under the tracer: `vramtrack run -- jupyter lab`, or the kernel that `vramtrack kernel install` adds.
"""

import gc
import html
import linecache
import os
import sys
from typing import Any, Dict, List, Optional

from vramtrack import _process
from vramtrack._left import Group, Left, Watch
from vramtrack._units import show
from vramtrack.report import Report

_ABSENT = ("vramtrack: this kernel is not traced, so nothing is known. Start Jupyter with `vramtrack run -- jupyter lab`, or "
           "add a traced kernel with `vramtrack kernel install` and choose it.")


_own_cells: Dict[str, int] = {}  # numbers of the cells that `%%vramtrack` runs, for which IPython counts one more


def _cells(shell: Any) -> Dict[str, int]:
    """The file that IPython makes up for the text of a cell -> the cell's number."""
    return {**getattr(getattr(shell, "compile", None), "_filename_map", {}), **_own_cells}


def _by_cells(text: str) -> str:
    """`In[3]:1` in place of the file that IPython makes up for the text of a cell."""
    from IPython import get_ipython

    for path, number in _cells(get_ipython()).items():
        cell = "In[%s]" % number
        text = text.replace(path, cell).replace(os.path.basename(path), cell)
    return text


class Shown:
    """A table for the notebook (HTML) and for a terminal (text)."""

    def __init__(self, title: str, groups: List[Group], notes: List[str]) -> None:
        self.title, self.groups, self.notes = title, groups, notes

    def __repr__(self) -> str:
        lines = [self.title]
        for group in self.groups:
            lines.append("%12s %6d  %s%s" % (show(group.bytes), len(group.blocks), _by_cells(str(group.site.line or "?")),
                                             "  held by " + ", ".join(group.holders[:3]) if group.holders else ""))
        return "\n".join(lines + self.notes)

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr><td style='text-align:right'>%s</td><td style='text-align:right'>%d</td><td style='text-align:left'>%s</td>"
            "<td style='text-align:left'>%s</td></tr>" % (
                show(group.bytes), len(group.blocks), _place(group),
                "<br>".join("<code>%s</code>" % html.escape(name) for name in group.holders[:3]) or "&mdash;")
            for group in self.groups)
        head = "<tr><th>bytes</th><th>blocks</th><th style='text-align:left'>allocated at</th>" \
               "<th style='text-align:left'>held by</th></tr>"
        table = "<table>%s%s</table>" % (head, rows) if rows else ""
        notes = "".join("<div style='opacity:.7'>%s</div>" % html.escape(note) for note in self.notes)
        return "<div class='vramtrack'><b>%s</b>%s%s</div>" % (html.escape(self.title), table, notes)


def _place(group: Group) -> str:
    frame = group.site.line
    if frame is None:
        return "?"
    # The text of a cell is in no file; this process knows it.
    text = (frame.source or linecache.getline(frame.file or "", frame.line or 0)).strip()
    return html.escape(_by_cells(str(frame))) + ("<br><code>%s</code>" % html.escape(text) if text else "")


def of_cell(left: Left) -> Shown:
    """What a cell left behind."""
    title = "This cell left %s on the GPU, and took %s at its peak." % (show(left.bytes), show(left.peak_bytes))
    notes = []
    if left.kept_bytes:
        notes.append("Besides, the math libraries keep %s for reuse (workspaces)." % show(left.kept_bytes))
    if len(left.groups) > 20:
        notes.append("%d more call sites." % (len(left.groups) - 20))
    return Shown(title, left.groups[:20], notes)


def of_report(report: Report) -> Shown:
    """What lives at a report's moment, with its findings."""
    groups = []
    for site in report.sites:
        blocks = [block for block in report.allocations if block.site == site.id and block.layer == report.layer]
        if blocks:
            groups.append(Group(site, blocks))
    groups.sort(key=lambda one: -one.bytes)
    notes = [_by_cells("%s: %s %s" % (finding.code, finding.message, finding.fix)) for finding in report.findings
             if finding.severity != "info"]
    title = "%s alive on the GPU, %s at the peak so far." % (show(report.live_bytes), show(report.peak_bytes))
    return Shown(title, groups[:20], notes)


def _magic(line: str, cell: Optional[str] = None) -> Any:
    from IPython import get_ipython
    from IPython.core.error import UsageError
    from IPython.display import display

    if cell is not None:
        if line.strip():
            raise UsageError("%%vramtrack takes no arguments")
        if not _process.is_active():
            print(_ABSENT)
        watch = Watch()
        shell = get_ipython()
        before = set(_cells(shell))
        result = shell.run_cell(cell)
        for path in set(_cells(shell)) - before:
            _own_cells[path] = len(shell.history_manager.input_hist_parsed) - 1
        if _process.is_active():
            display(of_cell(watch.end()))
        if result.error_in_exec is not None or result.error_before_exec is not None:
            return None  # run_cell has shown it
        return None
    words = line.split()
    if words == ["forget"]:
        _forget(get_ipython())
        return None
    if words[:1] == ["save"] and len(words) == 2:
        path = words[1]
    elif not words:
        path = None
    else:
        raise UsageError("%vramtrack, %vramtrack save FILE, %vramtrack forget, or %%vramtrack above a cell")
    if not _process.is_active():
        print(_ABSENT)
        return None
    report = _process.snapshot(path)
    if report is None:
        print("vramtrack: this kernel has not used the GPU yet")
        return None
    display(of_report(report))
    return None


def _forget(shell: Any) -> None:
    """Lets go of what IPython holds by itself. Its own `%reset out` leaves `_` in a second table of names, and the
    formatter of tracebacks keeps the last one that it showed."""
    if shell.displayhook.do_full_cache:
        shell.displayhook.flush()
    for name in "_", "__", "___":
        if name in shell.user_ns_hidden:
            shell.user_ns[name] = shell.user_ns_hidden[name] = ""
    for name in "last_type", "last_value", "last_traceback", "last_exc":
        sys.__dict__.pop(name, None)
    shell.InteractiveTB.tb = None
    shell.last_execution_result = None
    gc.collect()  # an exception and its frames hold one another


def load(shell: Any) -> None:
    """Registers the magics."""
    shell.register_magic_function(_magic, magic_kind="line_cell", magic_name="vramtrack")
