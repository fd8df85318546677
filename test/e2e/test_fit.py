"""`vramtrack fit`: the largest value that fits, found and verified by runs on the simulated GPU."""

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import PYTHON, ROOT, VRAMTRACK

TRAIN = """
import sys, torch
from torch import nn
model = nn.Sequential(*[nn.Sequential(nn.Linear(512, 512), nn.ReLU()) for _ in range(4)]).cuda()
optimizer = torch.optim.Adam(model.parameters())
for step in range(int(sys.argv[2])):
    loss = model(torch.empty(int(sys.argv[1]) * 1024, 512, device="cuda")).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
"""

SERVE = """
import json, sys, torch
from torch import nn
rows = json.load(open(sys.argv[1]))["serve"]["rows"]
model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).cuda()
score = nn.MSELoss()
while True:  # only `fit` ends it
    with torch.no_grad():
        out = model(torch.empty(rows * 1000, 512, device="cuda"))
        score(out, torch.zeros_like(out))
"""


@pytest.fixture
def fit(tmp_path):
    def call(*arguments):
        return subprocess.run([str(VRAMTRACK), "fit", *map(str, arguments)], capture_output=True, text=True, timeout=300,
                              cwd=tmp_path, env={**os.environ, "VRAMTRACK_NO_AGENT": "1", "TMPDIR": str(tmp_path)})

    return call


def found(done):
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "vramtrack-fit/1"
    return report


def test_the_largest_value_that_fits_and_the_next_one_that_does_not(fit, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    report = found(fit("--gpu", "288MiB", "--vary", "N=1..64", "--format", "json", "--", PYTHON, script, "{N}", 1000))
    (result,) = report["results"]
    assert result["fits"] and result["smallest_failing"] == result["largest"] + 1
    assert report["runs"] == result["runs"] <= 16

    def brute_force(value):
        return subprocess.run([str(VRAMTRACK), "run", "--sim=288MiB", "--no-trace", "--", PYTHON, str(script), str(value),
                               "3"], capture_output=True, text=True, timeout=300)

    fits = brute_force(result["largest"])
    assert fits.returncode == 0, fits.stderr
    assert fits.stdout.split() == [str(result["peak_live_bytes"]), str(result["peak_reserved_bytes"])]
    fails = brute_force(result["smallest_failing"])
    assert fails.returncode != 0 and "OutOfMemoryError" in fails.stderr

    assert 0 <= result["margin_bytes"] == result["total_bytes"] - result["used_bytes"]
    rows = {row["role"]: row for row in result["breakdown"]}
    assert sum(row["bytes"] for row in rows.values()) == result["peak_live_bytes"]
    parameters = 4 * (512 * 512 + 512) * 4
    assert rows["parameter"]["bytes"] == parameters and rows["parameter"]["bytes_per_value"] == 0
    assert rows["optimizer_state"]["constant_bytes"] == 2 * parameters
    assert rows["activation"]["bytes_per_value"] % (1024 * 512 * 4) == 0 < rows["activation"]["bytes_per_value"]


def test_an_environment_variable_on_several_gpus(fit, tmp_path):
    """Each has its own largest value, and what one run says of another's is not run again."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN.replace("sys.argv[1]", "os.environ['ROWS']").replace("import sys", "import os, sys"))
    sizes = [f"{size}MiB" for size in (192, 448)]
    report = found(fit(*(word for size in sizes for word in ("--gpu", size)), "--vary", "env:ROWS=1..64", "--format",
                       "json", "--", PYTHON, script, "-", 1000))
    largest = [result["largest"] for result in report["results"]]
    assert largest == sorted(set(largest)) and largest[0] >= 1, report
    assert report["runs"] <= 16
    assert all(result["smallest_failing"] == result["largest"] + 1 for result in report["results"])
    for size, value, code in (sizes[0], largest[0] + 1, 1), (sizes[1], largest[1], 0):
        ran = subprocess.run([str(VRAMTRACK), "run", f"--sim={size}", "--no-trace", "--", PYTHON, str(script), "-", "3"],
                             capture_output=True, text=True, timeout=300, env={**os.environ, "ROWS": str(value)})
        assert ran.returncode == code, (size, value, ran.stderr)


def test_does_it_fit(fit, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    done = fit("--gpu", "t4", "--gpu", "64MiB", "-o", "page.html", "--format", "html", "--", PYTHON, script, 8, 1000)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert "Tesla T4" in page and "It fits." in page and "to spare" in page
    assert "It does not fit." in page and "too much" in page and "http" not in page
    assert not list(tmp_path.glob("vramtrack*"))


def test_inference_from_a_json_file(fit, tmp_path):
    (tmp_path / "serve.py").write_text(SERVE)
    (tmp_path / "config.json").write_text('{"serve": {"rows": 1}, "other": [true]}')
    before = (tmp_path / "config.json").read_bytes()
    done = fit("--gpu", "24GiB", "--vary", "config.json:serve.rows=2..4:2", "--", PYTHON, "serve.py", "config.json")
    assert done.returncode == 0, done.stderr
    assert "rows=4 fits, the largest value given" in done.stdout
    assert "no optimizer step was seen" in done.stdout
    assert (tmp_path / "config.json").read_bytes() == before


BY_HAND = """
import torch
from torch import nn
model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).cuda()
while True:  # only `fit` ends it
    model.zero_grad()
    model(torch.empty(4096, 512, device="cuda")).square().mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
"""


def test_parameters_that_are_updated_by_hand(fit):
    report = found(fit("--format", "json", "--", PYTHON, "-c", BY_HAND))
    (result,) = report["results"]
    assert result["fits"] and any("though the program trains" in note for note in report["notes"])


def test_a_program_that_fails_for_another_reason(fit):
    done = fit("--", PYTHON, "-c", "import sys; print('warming up', file=sys.stderr); sys.exit('no such data set')")
    assert done.returncode == 1 and done.stdout == ""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ") and "exit code 1, and memory had not run out" in first
    assert "the end of what it wrote" in first and rest == ["  warming up", "  no such data set"]
    assert "it wrote nothing to stderr" in fit("--", PYTHON, "-c", "raise SystemExit(1)").stderr
    assert "used no GPU memory" in fit("--", PYTHON, "-c", "pass").stderr
    late = fit("--deadline", 1, "--", PYTHON, "-c", "import time; time.sleep(60)")
    assert late.returncode == 1 and "still ran after 1.00 s and was ended; --deadline SECONDS" in late.stderr
    assert "not-here: command not found" in fit("--", "not-here").stderr


def test_an_interrupt_ends_the_program_too(tmp_path):
    script = "import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(600)"
    tool = subprocess.Popen([str(VRAMTRACK), "fit", "--", PYTHON, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE,
                            env={**os.environ, "TMPDIR": str(tmp_path)})
    started = tmp_path / "started"
    while not (started.exists() and started.read_text()):
        time.sleep(0.02)
    tool.send_signal(signal.SIGINT)
    tool.communicate(timeout=60)
    assert tool.returncode == -signal.SIGINT
    assert [path.name for path in tmp_path.iterdir()] == ["started"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_the_table_of_gpus_is_up_to_date():
    assert subprocess.run([str(ROOT / "dev" / "gpu_docs.py"), "--check"]).returncode == 0, "run dev/gpu_docs.py"


@pytest.mark.parametrize("arguments, says", [
    ([], "no command given"),
    (["--gpu", "24GiB"], "no command given"),
    (["--gpu", "a100", "--", "x"], "did you mean a100-40gb or a100-80gb?"),
    (["--gpu", "5", "--", "x"], "between 16MiB and 4TiB"),
    (["--vary", "B", "--", "x"], "no range; write NAME=LO..HI"),
    (["--vary", "B=8..1", "--", "x"], "the range is empty"),
    (["--vary", "c.json:k=1..8", "--", "x"], "c.json is not in the command"),
    (["--steps", "0", "--", "x"], "--steps"),
    (["--format", "pdf", "--", "x"], "--format"),
    (["--varry", "B=1..2", "--", "x"], "did you mean --vary?"),
    (["--gpu", "24GiB", "python", "train.py"], "unexpected argument python"),
])
def test_usage(vramtrack, arguments, says):
    done = vramtrack("fit", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and says in done.stderr
