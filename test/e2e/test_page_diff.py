"""The diff page in headless Chromium."""

import json
import re

import pytest

from pages import browser, clean, synthetic_report  # noqa: F401


@pytest.fixture
def diff_page(vramtrack, tmp_path):
    """The diff page of a run and a longer one of the same program, and the two reports."""
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    reports = [synthetic_report.build(synthetic_report.parse(options)) for options in (["--hostile"], ["--hostile", "--steps", "480", "--seed", "9"])]
    for path, report in zip(paths, reports):
        path.write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    page = tmp_path / "diff.html"
    done = vramtrack("diff", *paths, "--format", "html", "-o", page)
    assert done.returncode == 0, done.stderr
    return page, reports


def test_the_diff_page_says_what_changed(browser, diff_page):
    path, (a, b) = diff_page
    page = browser.open(path)
    live = [sum(s["live_bytes"] for s in report["sites"] if s["layer"] == "tensor") for report in (a, b)]
    assert live[1] > live[0]
    assert page.text("h1").startswith("B holds") and "more tensor memory than A" in page.text("h1")
    flame = "window.vramtrack.views.get('flame').flame()"
    assert page.evaluate(f"[{flame}.a[0], {flame}.b[0]]") == live
    page.click("#tab-sites")
    changes = page.evaluate("window.vramtrack.model.changes.length")
    first = page.text("#site-0")
    assert first.startswith("+") and "model.py:190" in first
    page.click("#site-0")
    assert page.text("#details h2") == "Call site"
    page.click(".chip")
    assert page.evaluate("window.vramtrack.store.get('verdict')") != ""
    assert int(re.match(r"[\d,]+", page.text("#panel-sites .note")).group().replace(",", "")) < changes
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.scripts.length") == 3
    clean(page)


@pytest.mark.parametrize("width", [800, 1900])
def test_the_diff_page_fits(browser, diff_page, width):
    path, _ = diff_page
    page = browser.open(path, width=width, dark=True)
    for tab in ("flame", "sites"):
        page.evaluate(f"window.vramtrack.store.set({{tab: '{tab}', site: 2}})")
        page.settle()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    clean(page)
