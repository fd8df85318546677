"""The Python package: interface, pytest plugin, notebook, as installed from the wheel's own tree."""

import json
import os
import subprocess

import pytest
from conftest import BUILD, PYTHON, ROOT, VRAMTRACK

CORPUS = ROOT / "test" / "corpus"


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A folder as the wheel's: vramtrack/ with the program and the libraries in _native/. -> the environment to use it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "vramtrack").mkdir()
    for path in (ROOT / "python" / "vramtrack").iterdir():
        if path.is_file():
            (folder / "vramtrack" / path.name).write_bytes(path.read_bytes())
    subprocess.run(["cmake", "--install", BUILD, "--prefix", folder / "vramtrack" / "_native"], check=True,
                   stdout=subprocess.DEVNULL)
    native = folder / "vramtrack" / "_native"
    assert (native / "bin" / "vramtrack").stat().st_mode & 0o111
    assert not list(native.rglob("*.a"))
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONNOUSERSITE": "1"}


def start(environment, *command, cwd):
    return subprocess.run([str(word) for word in command], env=environment, cwd=cwd, capture_output=True, text=True,
                          timeout=300)


def test_the_interface_agrees_with_pytorch(package, tmp_path):
    done = start(package, PYTHON, "-m", "vramtrack", "run", "--sim", "--quiet", "--", PYTHON, CORPUS / "python_interface.py",
                 tmp_path / "now.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["active"] and not said["idle"] and not said["idle_snapshot"]
    assert [said["live"]["live_bytes"], said["live"]["peak_bytes"]] == said["torch"] == [5 << 20, 12 << 20]
    assert said["at"] == "live"
    assert said["first"] == [[5 << 20, "__main__.kept['weights']"]]
    assert said["again"] == [[1 << 20, "__main__.kept['more']"], [5 << 20, "__main__.kept['weights']"]]
    assert "python_interface.py:15" in said["line"] and said["ranges"][str(1 << 20)] == "more"
    assert json.loads((tmp_path / "now.json").read_text())["at"] == "live"
    # The end's report is what it would have been without the looks.
    (report,) = [json.loads(path.read_text()) for path in (tmp_path / "vramtrack-out").glob("vramtrack-*.json")]
    holders = {block["tensor"]["holder"] for block in report["allocations"] if block["tensor"]}
    assert report["at"] == "exit" and holders == {"__main__.kept['weights']", "__main__.kept['more']"}


def test_without_the_tracer_the_interface_does_nothing(package, tmp_path):
    done = start(package, PYTHON, CORPUS / "python_interface.py", tmp_path / "now.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert not said["active"] and said["live"] == {} and said["at"] is None
    assert not (tmp_path / "now.json").exists()


def test_reports_load(package, tmp_path):
    """Of a folder of a run: report and trace give the same; what is no report gives one clear error."""
    (tmp_path / "bad.json").write_text('{"schema": "something/2"}')
    (tmp_path / "bad.vtrace").write_text("nothing")
    done = start(package, PYTHON, "-c", """
import vramtrack
for name in "bad.json", "bad.vtrace", "none.json":
    try:
        vramtrack.Report.load(name)
    except (ValueError, OSError) as error:
        print(type(error).__name__, str(error).splitlines()[0])
print(vramtrack.Report.load("%s/test/golden/version-3.vtrace").at)
""" % ROOT, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and lines[3] == "exit", done.stdout + done.stderr
    assert lines[0].startswith("ReportError bad.json: not a report") and "bad.vtrace" in lines[1]
    assert lines[2].startswith("FileNotFoundError")


def test_pytest_plugin(package, tmp_path):
    sample = tmp_path / "sample_checked.py"
    sample.write_bytes((CORPUS / "pytest" / sample.name).read_bytes())
    command = [PYTHON, "-m", "pytest", "-p", "vramtrack.pytest_plugin", "-p", "no:cacheprovider", "-rA", "--no-header",
               "--rootdir", tmp_path, sample.name]
    plain = start(package, *command, cwd=tmp_path)  # without --vramtrack nothing changes (and there is no GPU)
    assert "--vramtrack" not in plain.stdout and "vramtrack:" not in plain.stdout
    texts = []
    for workers in ([], ["-n", "2"]):
        done = start(package, *command, "--vramtrack", "--sim=2GiB", "--vramtrack-out", tmp_path / "out", *workers, cwd=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        for name in ("within", "may_leave_something", "workspaces_and_cycles_are_no_leak", "unmarked",
                     "gradients_end_with_their_fixture"):
            assert f"PASSED sample_checked.py::test_{name}" in done.stdout, done.stdout
        for name in ("over_its_limit", "leaks", "fails_for_its_own_reason", "gradients_of_the_module_stay"):
            assert f"FAILED sample_checked.py::test_{name}" in done.stdout, done.stdout
        assert "took 9.0 MiB of GPU memory at its peak, 1.0 MiB more than its limit of 8.0 MiB" in done.stdout
        assert "left 3.0 MiB of GPU memory behind, at 1 call site" in done.stdout
        assert "sample_checked.py:27" in done.stdout and "held by sample_checked.KEPT[0]" in done.stdout
        figures = json.loads((tmp_path / "out" / "vramtrack-tests.json").read_text())["tests"]
        texts.append(sorted((one["name"], one["peak_bytes"], one["live_bytes"]) for one in figures))
    assert texts[0] == texts[1] and len(texts[0]) == 7  # repeatable, in whatever process


def test_pytest_plugin_as_documented(package, tmp_path):
    """`--sim` takes no test's path for its size, and the lines over a limit are the test's own."""
    (tmp_path / "test_limit.py").write_text(
        "import pytest, torch\n"
        "def test_unmarked():\n"
        "    weights = torch.zeros(1024, 1024, device='cuda', requires_grad=True)\n"
        "    (weights @ weights).sum().backward()\n"
        "@pytest.mark.vramtrack(limit='1 MiB')\n"
        "def test_over():\n"
        "    torch.zeros(3 << 20, dtype=torch.uint8, device='cuda')\n")
    done = start(package, PYTHON, "-m", "pytest", "-p", "vramtrack.pytest_plugin", "--vramtrack", "--sim", "test_limit.py", cwd=tmp_path)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    said = done.stdout.split("It allocated at:\n")[1].splitlines()
    assert said[0].strip() == "3.0 MiB at most  test_limit.py:7  test_over" and said[1].startswith("vramtrack: "), said


def test_pytest_plugin_says_what_is_wrong(package, tmp_path):
    (tmp_path / "test_marks.py").write_text(
        "import pytest\n@pytest.mark.vramtrack(limit='many')\ndef test_it():\n    pass\n")
    done = start(package, PYTHON, "-m", "pytest", "-p", "vramtrack.pytest_plugin", "-p", "no:cacheprovider", "--vramtrack",
                 "--sim", cwd=tmp_path)
    assert done.returncode != 0 and "'many' is no size" in done.stdout + done.stderr


NOTEBOOK = r"""
import json, sys
import nbformat
from nbclient import NotebookClient

cells = ["import torch\n%load_ext vramtrack",
         "%%vramtrack\nkept = [torch.zeros(5 << 20, dtype=torch.uint8, device='cuda')]\ntorch.zeros(8 << 20, dtype=torch.uint8, device='cuda')\nNone",
         "torch.ones(3 << 20, dtype=torch.uint8, device='cuda')",
         "%vramtrack",
         "%vramtrack save now.json",
         "%%vramtrack\n1 / 0",
         "def fail():\n    local = torch.zeros(2 << 20, dtype=torch.uint8, device='cuda')\n    1 / 0\nfail()",
         "%vramtrack",
         "%vramtrack forget",
         "%vramtrack"]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
NotebookClient(notebook, kernel_name=sys.argv[1], timeout=240, allow_errors=True).execute()
print(json.dumps([cell["outputs"] for cell in notebook.cells]))
"""


def test_notebook(package, tmp_path):
    added = start(package, PYTHON, "-m", "vramtrack", "kernel", "install", "--prefix", tmp_path, "--name", "traced",
                  "--sim=2GiB", cwd=tmp_path)
    assert added.returncode == 0, added.stderr
    environment = {**package, "JUPYTER_PATH": str(tmp_path / "share" / "jupyter"), "IPYTHONDIR": str(tmp_path / "ipython"),
                   "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    done = start(environment, PYTHON, "-c", NOTEBOOK, "traced", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout.splitlines()[-1])

    def shown(cell, kind):
        return "\n".join(one["data"].get(kind, "") for one in outputs[cell] if "data" in one)

    text = shown(1, "text/plain")
    assert text.startswith("This cell left 5.0 MiB on the GPU, and took 13.0 MiB at its peak."), outputs[1]
    assert "held by __main__.kept[0]" in text and "1  " in text
    page = shown(1, "text/html")
    assert "In[2]:1" in text and "In[2]:1" in page and "ipykernel" not in text + page, outputs[1]
    assert "<code>__main__.kept[0]</code>" in page and "dtype=torch.uint8" in page  # the line's text, from the cell
    text = shown(3, "text/plain")
    assert text.startswith("8.0 MiB alive on the GPU") and "kept[0]" in text
    assert "In[3]:1" in text, text
    assert "Out[3]" in text or "__main__._" in text  # IPython's own references are named
    assert json.loads((tmp_path / "now.json").read_text())["at"] == "live"
    assert [one["ename"] for one in outputs[5] if one["output_type"] == "error"] == ["ZeroDivisionError"]
    text = shown(7, "text/plain")  # the last result and the locals of the last exception are held by IPython
    assert text.startswith("10.0 MiB alive on the GPU"), text
    assert shown(9, "text/plain").startswith("5.0 MiB alive on the GPU"), outputs[9]
    removed = start(package, PYTHON, "-m", "vramtrack", "kernel", "remove", "--prefix", tmp_path, "--name", "traced", cwd=tmp_path)
    assert removed.returncode == 0 and not (tmp_path / "share/jupyter/kernels/traced").exists()


DORMANT = """
import subprocess, sys, os, torch
tool = sys.argv[1]
def ask(verb):
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run([tool, verb, str(os.getpid())], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
def make(count):
    return torch.zeros(count << 20, dtype=torch.uint8, device="cuda")
before = make(3)
ask("start")
during = make(5)
gone = make(7)
ask("stop")
after = make(9)
del gone, before
ask("start")
again = make(11)
"""


def test_dormant(traced):
    """What is allocated while recording is on is in the report; what went since is not, whenever it went."""
    run = traced([PYTHON, "-c", DORMANT, str(VRAMTRACK)], "--dormant")
    assert run.code == 0, run.stderr
    report = run.report()
    tensors = [one for one in report["totals"] if one["layer"] == "tensor"]
    assert [one["live_bytes"] for one in tensors] == [16 << 20]
    assert sorted(one["tensor"]["holder"] for one in report["allocations"] if one["layer"] == "tensor") == [
        "__main__.again", "__main__.during"]
    assert any("recording was off for a part of the run" in note for note in report["losses"]["notes"])
    never = traced([PYTHON, "-c", "import torch; torch.zeros(9, device='cuda')"], "--dormant")
    assert never.code == 0 and not any(one["live_bytes"] for one in never.report()["totals"])
