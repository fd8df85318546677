"""Who holds the memory and what it is made of, on the report page."""

import json
import re
import subprocess
import sys
import time

import pytest

from conftest import VRAMTRACK
from pages import browser, clean, page_of, synthetic_report  # noqa: F401

ROWS = "[...document.querySelectorAll('#panel-holders .rows .tr:not([hidden])')].sort((a, b) => a.dataset.index - b.dataset.index)"
NAMES = f"{ROWS}.map(r => r.querySelector('.held').innerText)"
HOLDER = "window.vramtrack.store.get('holder')"


def top_level(report):
    return sorted((h for h in report["holders"] if h["parent"] is None), key=lambda h: h["id"])


def test_holders_are_a_tree_that_opens_and_closes(browser, page_of):
    path, report = page_of()
    page = browser.open(path, hash="#tab=holders")
    tops = [h["path"].removeprefix("__main__.") for h in top_level(report)]
    names = page.evaluate(NAMES)
    assert [n for n in names if n in tops] == tops
    assert "[]" in names  # the losses are most of it: open at first; a part is named by what it adds
    assert page.evaluate(f"{ROWS}[0].getAttribute('aria-expanded')") == "true"
    page.click("#panel-holders .twist")
    assert page.evaluate(f"{ROWS}[0].getAttribute('aria-expanded')") == "false" and "[]" not in page.evaluate(NAMES)
    page.evaluate("[...document.querySelectorAll('#panel-holders button')].find(b => b.innerText === 'Open all').click()")
    page.settle()
    assert page.evaluate(f"{ROWS}.length") == len(report["holders"])
    assert ".transformer.h[3]" in page.evaluate(NAMES)
    clean(page)


def test_a_holder_shows_its_figures_and_leads_to_sites_and_blocks(browser, page_of):
    path, report = page_of()
    page = browser.open(path, hash="#tab=holders")
    page.evaluate("[...document.querySelectorAll('#panel-holders button')].find(b => b.innerText === 'Open all').click()")
    page.settle()
    layer = next(h for h in report["holders"] if h["path"].endswith("h[3]"))
    page.click(f"#panel-holders .tr[data-row='{layer['id']}']")
    assert page.evaluate(HOLDER) == f"exit/{layer['id']}"
    assert page.text("#details h2") == "Holder"
    assert f"{layer['retained_bytes']:,} bytes" in page.evaluate("[...document.querySelectorAll('#details dd')].map(d => d.title)")
    words = page.text("#details")
    assert layer["path"] in words and "model.GPT" not in words and "model.Block" in words and "train.py:83" in words
    page.click("#details p button.quiet:not(.actions button)")
    assert page.evaluate("window.vramtrack.store.get('tab')") == "tensors"
    own = [b for b in report["allocations"] if (b["tensor"] or {}).get("holder_id") == layer["id"]]
    assert page.text("#panel-tensors .note").startswith(f"{len(own)} of ")
    page.click("#panel-tensors .rows .tr")
    assert page.text("#details h2") == "Live block"
    page.click("#details dd button.link")  # the way back
    assert page.evaluate(f"[{HOLDER}, window.vramtrack.store.get('tab')]") == [f"exit/{layer['id']}", "holders"]
    page.evaluate("[...document.querySelectorAll('#details .link')].find(b => b.querySelector('.site')).click()")
    page.settle()
    assert page.text("#details h2") == "Call site"
    site = page.evaluate("window.vramtrack.model.sites.id[window.vramtrack.store.get('site')]")
    assert site in layer["sites"]
    again = browser.open(path, hash=f"#tab=holders&holder=exit%2F{layer['id']}")  # a copied address
    assert layer["path"] in again.text("#details")
    clean(again)
    clean(page)


def test_the_areas_are_in_proportion_and_select(browser, page_of):
    path, report = page_of()
    page = browser.open(path, hash="#tab=holders")
    cells = page.evaluate("[...document.querySelectorAll('#panel-holders .treemap > div')].map(c => [c.title.split('\\n')[0], c.offsetWidth * c.offsetHeight])")
    tops = [h for h in top_level(report) if h["retained_bytes"]]
    assert [name for name, _ in cells] == [h["path"] for h in sorted(tops, key=lambda h: -h["retained_bytes"])]
    whole, area = sum(h["retained_bytes"] for h in tops), sum(a for _, a in cells)
    for (_, found), top in zip(cells, sorted(tops, key=lambda h: -h["retained_bytes"])):
        assert abs(found / area - top["retained_bytes"] / whole) < 0.02
    page.click("#panel-holders .treemap > div:nth-child(2) > span")
    assert page.text("#details .title") == cells[1][0]
    assert page.evaluate("document.querySelector('#panel-holders .rows [aria-selected=true] .held').innerText") == cells[1][0].removeprefix("__main__.")
    clean(page)


def test_the_keyboard_walks_the_tree(browser, page_of):
    path, report = page_of()
    page = browser.open(path, hash="#tab=holders")
    page.evaluate("document.querySelector('#panel-holders .rows').focus()")
    page.key("ArrowDown")
    assert page.evaluate(HOLDER) == "exit/0"
    page.key("ArrowRight")  # open already: into it
    assert page.evaluate(HOLDER) == "exit/1"
    page.key("ArrowLeft")  # no parts: up
    page.key("ArrowLeft")
    assert page.evaluate(f"[{HOLDER}, {ROWS}[0].getAttribute('aria-expanded')]") == ["exit/0", "false"]
    page.key("Escape")
    assert page.evaluate(HOLDER) == ""
    clean(page)


def test_a_search_opens_what_it_finds(browser, page_of):
    path, _ = page_of()
    page = browser.open(path, hash="#tab=holders&query=h%5B3%5D")
    assert page.evaluate(NAMES) == ["model", ".transformer.h[3]"]
    clean(page)


def test_thousands_of_holders_stay_quick(browser, page_of):
    """Times are printed, not judged; what is in the document is."""
    path, report = page_of("--holders", "20000")
    begun = time.monotonic()
    page = browser.open(path, hash="#tab=holders")
    opened = time.monotonic() - begun
    took = page.evaluate("(() => { const t = performance.now(); [...document.querySelectorAll('#panel-holders button')].find(b => b.innerText === 'Open all').click(); return performance.now() - t; })()")
    page.settle()
    print(f"\n20,000 holders: open {1000 * opened:.0f} ms, open all {took:.0f} ms, page {path.stat().st_size / 1e6:.2f} MB")
    assert page.evaluate("document.querySelector('#panel-holders .table').getAttribute('aria-rowcount')") == str(len(report["holders"]) + 1)
    assert page.evaluate("document.querySelectorAll('#panel-holders *').length") < 4000
    assert path.stat().st_size < 2_500_000
    clean(page)


def test_what_it_is_made_of_adds_up(browser, page_of):
    path, report = page_of()
    page = browser.open(path, hash="#tab=peak&at=peak")
    assert page.evaluate("[...document.querySelectorAll('#panel-peak thead th')].map(t => t.classList.contains('number'))") == [True] * 3 + [False] * 3
    rows = report["peak_breakdown"]
    assert page.evaluate("document.querySelectorAll('#panel-peak tbody tr').length") == len(rows)
    cells = page.evaluate("[...document.querySelectorAll('#panel-peak .treemap > div')].map(c => c.title.split(':')[0])")
    outside = sum(r["bytes"] for r in rows if r["module"] is None)
    inside = sum(r["bytes"] for r in rows if r["module"])
    assert cells == (["outside of any module", "transformer.h"] if outside > inside else ["transformer.h", "outside of any module"])
    page.evaluate("window.vramtrack.store.set({at: 'now'})")  # follows the moment of the page
    page.settle()
    assert page.evaluate("document.querySelectorAll('#panel-peak tbody tr').length") == len(report["breakdown"])
    clean(page)


RUNS_OUT = """
import torch

class Store:
    def __init__(self):
        self.items = {}

store = Store()
for step in range(6):
    store.items[f"user{step}"] = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
try:
    torch.empty(1 << 40, dtype=torch.uint8, device="cuda")
except torch.OutOfMemoryError:
    pass
store.items.clear()
late = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
"""


@pytest.fixture(scope="module")
def ran_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ran-out")
    (folder / "runs_out.py").write_text(RUNS_OUT)
    done = subprocess.run([VRAMTRACK, "run", "--sim=4GiB", "--quiet", "-o", folder, "--", sys.executable, folder / "runs_out.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (trace,) = folder.glob("vramtrack-*.vtrace")
    for made_of in trace, trace.with_suffix(".json"):
        page = folder / f"page{made_of.suffix}.html"
        subprocess.run([VRAMTRACK, "report", "--format", "html", "-o", page, made_of], check=True, timeout=300)
    return folder, json.loads(trace.with_suffix(".json").read_text()), json.loads(trace.with_suffix(".oom-1.json").read_text())


@pytest.mark.parametrize("made_of", [".vtrace", ".json"])
def test_every_recorded_moment_has_its_holders_and_parts(browser, ran_out, made_of):
    folder, at_exit, at_oom = ran_out
    assert at_exit["ooms"][0]["holders"] == at_oom["holders"] and at_exit["ooms"][0]["breakdown"] == at_oom["breakdown"]
    page = browser.open(folder / f"page{made_of}.html", hash="#tab=holders&at=oom%3A1")
    held = next(h for h in at_oom["holders"] if h["path"] == "__main__.store.items")
    assert "store" in page.evaluate(NAMES)[0] and "384 MiB" in page.text("#panel-holders .lead")
    assert held["retained_bytes"] == 384 << 20
    names = {re.sub(r"^.*\.", "", h["path"]) for h in at_exit["holders"] if h["retained_bytes"]}
    assert "late" in names
    page.evaluate("window.vramtrack.store.set({at: 'now'})")
    page.settle()
    assert any("late" in name for name in page.evaluate(NAMES)) and "store" not in page.evaluate(NAMES)
    page.evaluate("window.vramtrack.store.set({tab: 'peak', at: 'oom:1'})")
    page.settle()
    assert page.text("#panel-peak .bar b") == "384 MiB"
    clean(page)
