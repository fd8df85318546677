"""The queries of docs/fleet.md, as they stand there, in real DuckDB on reports."""

import json
import re
import sys

import duckdb
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "test" / "corpus"))
import synthetic_report  # noqa: E402


def queries():
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n-- (\w+)\n(.*?)```", text, re.S)
    return dict(blocks)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    reports = {}
    for seed in range(6):
        options = ["--seed", str(seed), "--steps", str(100 + seed)] + (["--oom"] if seed % 2 else [])
        report = synthetic_report.build(synthetic_report.parse(options))
        report["process"]["rank"] = seed
        report["losses"]["dropped_events"] = 3 if seed == 4 else 0
        path = folder / f"vramtrack-{seed}.json"
        path.write_text(json.dumps(report), encoding="utf-8")
        reports[str(path)] = report
    connection = duckdb.connect()
    connection.execute(queries()["setup"].replace("reports/*.json", str(folder / "*.json")))

    def ask(name):
        cursor = connection.execute(queries()[name])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    return reports, ask


def test_largest(fleet):
    reports, ask = fleet
    rows = ask("largest")
    assert len(rows) == len(reports)
    for row in rows:
        totals = [t for t in reports[row["filename"]]["totals"] if t["layer"] == "tensor"]
        assert row["live_bytes"] == sum(t["live_bytes"] for t in totals)
    assert [r["peak_bytes"] for r in rows] == sorted((r["peak_bytes"] for r in rows), reverse=True)


def test_growing(fleet):
    reports, ask = fleet
    growing = [s for r in reports.values() for s in r["sites"] if s["verdict"] == "growing"]
    rows = ask("growing")
    assert growing and sum(row["live_bytes"] for row in rows) == sum(s["live_bytes"] for s in growing)
    assert rows[0]["file"].endswith(".py") and rows[0]["line"] > 0


def test_findings_owners_losses(fleet):
    reports, ask = fleet
    codes = {}
    for report in reports.values():
        for finding in report["findings"]:
            codes[finding["code"]] = codes.get(finding["code"], 0) + 1
    assert {row["code"]: row["times"] for row in ask("findings")} == codes
    owners = {}
    for report in reports.values():
        for site in report["sites"]:
            if site["layer"] == "cuda" and site["device"] >= 0:
                owners[site["owner"]] = owners.get(site["owner"], 0) + site["live_bytes"]
    assert {row["owner"]: row["live_bytes"] for row in ask("owners")} == owners
    lost = ask("losses")
    assert [row["dropped"] for row in lost] == [3] and lost[0]["filename"].endswith("vramtrack-4.json")
