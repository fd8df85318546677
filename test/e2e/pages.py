"""Pages for the tests: made from made-up reports, opened in headless Chromium."""

import json
import sys

import pytest

from browser import Browser
from conftest import ROOT

sys.path.insert(0, str(ROOT / "test" / "corpus"))
import synthetic_report  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def page_of(vramtrack, tmp_path):
    """page_of("--oom", ...) -> (path of the page, the report it was made from)."""

    def make(*options, command="report"):
        report = synthetic_report.build(synthetic_report.parse(list(options)))
        source, page = tmp_path / "report.json", tmp_path / f"page-{command}.html"
        source.write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
        arguments = ["report", source, "--format", "html"] if command == "report" else ["flamegraph", source]
        done = vramtrack(*arguments, "-o", page)
        assert done.returncode == 0, done.stderr
        return page, report

    return make


def clean(page):
    assert page.problems == [], page.problems
    assert page.requests == []
