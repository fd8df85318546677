"""What CI services read: annotations, job summary, SARIF, budgets; from one report of a leaking program."""

import json
import re
import subprocess

import pytest
from conftest import ROOT, VRAMTRACK

SARIF_LEVELS = {"none", "note", "warning", "error"}


def finding(**changes):
    return {"code": "history-accumulation", "severity": "error", "title": "history, kept", "message": "line 1\nline 2: 100%",
            "site": None, "file": None, "line": None, "variable": None, "bytes": 512, "evidence": {}, "fix": "detach it",
            "docs": "docs/findings/history-accumulation.md", **changes}


@pytest.fixture
def report(tmp_path, vramtrack):
    """A report with findings of each severity, at hostile names too."""
    made = tmp_path / "report.json"
    done = vramtrack("report", ROOT / "test/golden/version-3.vtrace", "--format", "json", "-o", made)
    assert done.returncode == 0, done.stderr
    document = json.loads(made.read_text())
    document["findings"] = [
        finding(file=str(tmp_path / "src/train.py"), line=27, variable="total_loss"),
        finding(code="growing-site", severity="warning", file="/elsewhere/a b,c:d.py", line=3),
        finding(code="workspace", severity="info", message="not | a <b>leak</b>"),
        finding(code="growing-site", severity="warning", file="/elsewhere/x.py", line=None, site=document["sites"][0]["id"]),
    ]
    made.write_text(json.dumps(document))
    return made


def run(*arguments, cwd, **environment):
    return subprocess.run([str(VRAMTRACK), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120,
                          env={"PATH": "/usr/bin:/bin", **environment})


def test_annotations_and_summary(report, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = run("report", report, "--format", "github", cwd=tmp_path, GITHUB_WORKSPACE=str(tmp_path),
               GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines == [
        "::error file=src/train.py,line=27,title=vramtrack%3A history-accumulation::line 1%0Aline 2: 100%25%0AFix: detach it",
        "::warning file=/elsewhere/a b%2Cc%3Ad.py,line=3,title=vramtrack%3A growing-site::line 1%0Aline 2: 100%25%0AFix: detach it",
        "::notice title=vramtrack%3A workspace::not | a <b>leak</b>%0AFix: detach it",
        "::warning file=/elsewhere/x.py,title=vramtrack%3A growing-site::line 1%0Aline 2: 100%25%0AFix: detach it",
    ]
    text = summary.read_text()
    assert text.startswith("before\n### GPU memory: ")
    assert "**history-accumulation** src/train.py:27" in text and "workspace" not in text.split("alive at")[0]
    # Without a place for the summary, it follows the annotations.
    done = run("report", report, "--format", "github", cwd=tmp_path)
    assert done.stdout.splitlines()[:1] == lines[:1] and "### GPU memory: " in done.stdout
    # One that cannot be written is an error, after the annotations.
    done = run("report", report, "--format", "github", cwd=tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "no/such"))
    assert done.returncode == 1 and re.fullmatch(r"error: .*no/such: the job summary cannot be written.*\n", done.stderr)


def test_sarif(report, tmp_path):
    done = run("report", report, "--format", "sarif", cwd=tmp_path, GITHUB_WORKSPACE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["version"] == "2.1.0" and document["$schema"].endswith("sarif-2.1.0.json")
    (run_of,) = document["runs"]
    rules = run_of["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["history-accumulation", "growing-site", "workspace"]
    assert all(rule["help"]["text"] == rule["help"]["markdown"] and rule["help"]["text"].startswith(f"# `{rule['id']}`\n") for rule in rules)
    results = run_of["results"]
    assert [one["level"] for one in results] == ["error", "warning", "note", "warning"]
    for one in results:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"] and one["level"] in SARIF_LEVELS and one["message"]["text"]
    places = [one["locations"][0]["physicalLocation"] for one in results if "locations" in one]
    assert places[0] == {"artifactLocation": {"uri": "src/train.py", "uriBaseId": "SRCROOT"}, "region": {"startLine": 27}}
    assert places[1] == {"artifactLocation": {"uri": "file:///elsewhere/a%20b%2Cc%3Ad.py"}, "region": {"startLine": 3}}
    assert places[2] == {"artifactLocation": {"uri": "file:///elsewhere/x.py"}}
    assert results[3]["stacks"][0]["message"]["text"]
    assert run_of["originalUriBaseIds"]["SRCROOT"]["uri"] == f"file://{tmp_path}/"
    assert len({json.dumps(one["partialFingerprints"]) for one in results}) == 4


def test_budget(report, tmp_path):
    budget = tmp_path / "budget.json"
    check = ["check", "--budget", budget, report, "--name", "train"]
    done = run(*check, cwd=tmp_path)
    assert done.returncode == 1 and "--update" in done.stderr and done.stderr.count("\n") == 1
    assert run(*check, "--update", "--allow", "1.1", cwd=tmp_path).returncode == 0
    kept = json.loads(budget.read_text())
    assert kept["allow"] == 1.1 and list(kept["entries"]) == ["train"]
    totals = [t for t in json.loads(report.read_text())["totals"] if t["device"] >= 0 and t["kind"] in ("block", "all")]
    layer = "tensor" if any(t["layer"] == "tensor" for t in totals) else "cuda"
    peak = sum(t["peak_bytes"] for t in totals if t["layer"] == layer)
    assert kept["entries"]["train"]["peak_bytes"] == peak > 0
    assert run(*check, cwd=tmp_path).returncode == 0

    kept["entries"]["train"]["peak_bytes"] = int(peak / 1.1) + 1  # just allowed
    budget.write_text(json.dumps(kept))
    assert run(*check, cwd=tmp_path).returncode == 0
    kept["entries"]["train"]["peak_bytes"] = int(peak / 1.2)
    kept["entries"]["gone"] = {"peak_bytes": 1, "live_bytes": 1}
    budget.write_text(json.dumps(kept))
    done = run(*check, cwd=tmp_path)
    assert done.returncode == 1 and "over budget: train: peak" in done.stdout and "not measured: gone" in done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    kept["entries"]["train"]["allow"] = 1.3  # of one entry
    budget.write_text(json.dumps(kept))
    assert run(*check, cwd=tmp_path).returncode == 0
    assert run(*check, "--strict", cwd=tmp_path).returncode == 1

    tests = tmp_path / "traces"
    tests.mkdir()
    (tests / "vramtrack-tests.json").write_text(json.dumps(
        {"schema": "vramtrack-tests/1", "tests": [{"name": "a.py::test_b", "peak_bytes": 7, "live_bytes": 0}]}))
    assert run("check", "--budget", budget, tests, "--update", cwd=tmp_path).returncode == 0
    kept = json.loads(budget.read_text())["entries"]
    assert kept["a.py::test_b"] == {"peak_bytes": 7, "live_bytes": 0} and kept["train"]["allow"] == 1.3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "vramtrack-budget/1"}', '{"schema": "vramtrack-budget/1", "entries": {"a": 1}}',
                                  '{"schema": "vramtrack-budget/1", "entries": {"a": {"peak_bytes": -1, "live_bytes": 0}}}',
                                  '{"schema": "vramtrack-budget/1", "allow": "x", "entries": {}}'])
def test_damaged_budgets(report, tmp_path, text):
    budget = tmp_path / "budget.json"
    budget.write_text(text)
    done = run("check", "--budget", budget, report, cwd=tmp_path)
    assert done.returncode == 1 and re.fullmatch(r"error: \S+budget\.json: .*\n", done.stderr), done.stderr
