"""The moments of the report page: memory over time with its events, a clicked moment, an out-of-memory event."""

import json
import re
import subprocess
import sys

import pytest

from conftest import VRAMTRACK
from pages import browser, clean, page_of  # noqa: F401

PLATEAUS = """
import time
import torch

kept = []
for level in range(1, 9):
    kept.append(torch.empty((level << 20) + (level << 12), dtype=torch.uint8, device="cuda"))
    if level == 5:
        del kept[:3]
    print(torch.cuda.memory_allocated(), flush=True)
    time.sleep(0.25)
try:
    torch.empty(1 << 40, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    print("out of memory", torch.cuda.memory_allocated(), flush=True)
kept.clear()
"""


@pytest.fixture(scope="module")
def plateaus(tmp_path_factory):
    """A run that holds eight known levels, one after the other, runs out of memory and frees all: levels, page, report."""
    folder = tmp_path_factory.mktemp("plateaus")
    (folder / "plateaus.py").write_text(PLATEAUS)
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--history", "--quiet", "-o", folder, "--", sys.executable, folder / "plateaus.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (trace,) = folder.glob("vramtrack-*.vtrace")
    subprocess.run([VRAMTRACK, "report", "--format", "html", "-o", folder / "page.html", trace], check=True, timeout=300)
    report = json.loads(trace.with_suffix(".json").read_text())
    return [int(line.split()[-1]) for line in done.stdout.splitlines()], folder / "page.html", report


def test_the_history_shows_each_sites_memory_over_time(browser, plateaus):
    levels, path, report = plateaus
    page = browser.open(path)
    page.evaluate("[...document.querySelectorAll('#timeline button')].find(b => b.innerText === 'By call site').click()")
    page.settle()
    bands = page.evaluate("(() => { const { model } = window.vramtrack; const [plot] = model.history; const column = (t, n) => { const v = t[n]; if (Array.isArray(v)) return v;"
                          "if (typeof v === 'number') return Array(t.length).fill(v); if (v.runs) return v.runs.flatMap((x, i) => i % 2 ? [] : Array(v.runs[i + 1]).fill(x)); return null; };"
                          "return { total: column(plot, 'total'), sites: plot.bands.map(b => [b.site, column(b, 'bytes')]) }; })()")
    seen = [total for total, before in zip(bands["total"], [None, *bands["total"]]) if total != before]
    left = iter(seen)
    assert all(level in left for level in levels[:8]), seen  # each level that PyTorch itself printed, in order
    for i, total in enumerate(bands["total"]):
        assert sum(values[i] for _, values in bands["sites"]) == total  # few sites: all have a band
    peaks = {site: max(values) for site, values in bands["sites"]}
    assert peaks == {s["id"]: s["peak_bytes"] for s in report["sites"] if s["id"] in peaks}
    assert "call site" in page.text("#timeline .note")
    clean(page)


def test_a_clicked_moment_shows_what_was_alive_then(browser, plateaus):
    levels, path, report = plateaus
    page = browser.open(path, hash="#tab=flame")
    plot = page.evaluate("(({start, interval, length}) => ({start, interval, length}))(window.vramtrack.model.history[0])")
    found = []
    for bucket in range(0, plot["length"], 3):
        moment = plot["start"] + (bucket + 0.5) * plot["interval"]
        page.evaluate(f"window.vramtrack.store.set({{at: 'moment', from: {moment}, to: {moment}}})")
        value = page.evaluate("window.vramtrack.views.get('flame').flame().value[0]")
        assert value == page.evaluate("window.vramtrack.scope.total")
        if not found or found[-1] != value:
            found.append(value)
    left = iter(found)
    assert all(level in left for level in levels[:8]), found
    width = page.evaluate("document.querySelector('.u-over').clientWidth")
    page.click(".u-over", at=(width * 0.9, 60))
    assert page.evaluate("window.vramtrack.store.get('at')") == "moment"
    assert re.search(r"at=moment&from=[\d.]+&to=[\d.]+", page.evaluate("location.hash"))
    assert page.evaluate("document.querySelector('#scope [aria-label=Moment] [aria-pressed=true]').innerText").startswith("At ")
    clean(page)


def test_the_moment_of_an_oom_is_in_the_page(browser, plateaus):
    levels, path, report = plateaus
    page = browser.open(path, hash="#tab=sites&at=oom%3A1")
    assert page.evaluate("window.vramtrack.scope.total") == levels[8] == report["ooms"][0]["live_bytes"]
    assert sum(t["live_bytes"] for t in report["totals"] if t["layer"] == "tensor") == 0
    rows = page.evaluate("[...document.querySelectorAll('#panel-sites .rows .tr:not([hidden])')].map(r => r.innerText)")
    assert len(rows) == 1 and "plateaus.py:7" in rows[0], rows
    page.evaluate("window.vramtrack.store.set({at: 'now'})")
    page.settle()
    assert "nothing at exit" in page.text("#panel-sites .note")
    clean(page)


def test_a_run_that_ran_out_of_memory_opens_at_that_moment(browser, plateaus):
    levels, path, _ = plateaus
    page = browser.open(path)
    assert page.text("#verdict h1").startswith("Out of memory")
    assert page.evaluate("window.vramtrack.scope.total") == levels[8]
    page.evaluate("window.vramtrack.store.set({at: 'now'})")
    page.settle()
    assert page.evaluate("window.vramtrack.scope.total") == 0
    page.click("#finding-0 .actions button:nth-child(2)")
    assert page.evaluate("[window.vramtrack.store.get('tab'), window.vramtrack.scope.total]") == ["flame", levels[8]]
    clean(page)
