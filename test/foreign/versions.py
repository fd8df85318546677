"""versions.py VRAMTRACK VERSION=PYTHON...: tries releases of PyTorch on the simulated GPU, one environment at a
time, and writes what was seen into docs/compatibility.md (rows of other releases, and of other Pythons, stay).

    test/foreign/versions.py build/bin/vramtrack 2.4.1=python3.10 2.15.0=python3.13

PYTHON is an interpreter; one that has that release already (of an environment of its own) is used as it is. For others a
virtual environment is made, PyTorch is installed from PyPI (3 GB), and all is removed afterwards.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
LEAKY = ROOT / "docs" / "examples" / "leaky_train.py"

PROGRAM = '''
import json, platform, sys, torch
torch.cuda.memory._record_memory_history(max_entries=100000)

def layer():
    return torch.nn.Linear(256, 256).cuda()

kept = {"weights": layer()}
optimizer = torch.optim.AdamW(kept["weights"].parameters())
for step in range(4):
    gone = torch.zeros(9 << 20, dtype=torch.uint8, device="cuda")
    kept["weights"](torch.randn(64, 256, device="cuda")).sum().backward()
    optimizer.step()
    del gone
torch.cuda.synchronize()
blocks = []
for segment in torch.cuda.memory._snapshot()["segments"]:
    address = segment["address"]
    for block in segment["blocks"]:
        if block["state"] == "active_allocated":
            frames = block.get("frames") or block["history"][0]["frames"]
            lines = [f["line"] for f in frames if f["filename"] == __file__]
            blocks.append([block.get("address", address), block["size"], lines])
        address += block["size"]
json.dump({"torch": torch.__version__, "cuda": torch.version.cuda, "python": platform.python_version(), "blocks": blocks,
           "live": torch.cuda.memory_allocated(), "peak": torch.cuda.max_memory_allocated()}, open(sys.argv[1], "w"))
'''

HEAD = """# Tested releases of PyTorch

Written by `test/foreign/versions.py`, which takes one release after the other and runs it on the simulated GPU. A row is what
was seen; a release without one was not tried. One binary serves all: unknown releases are checked by vramtrack as
they are loaded, and what it cannot rely on it leaves out and says so.
PyTorch 2.4 does not tell what autograd graphs have saved for backward: a run with it says that the holders of that memory
are not known; what is in variables, and how far their graphs reach, is told all the same.

- **runs**: imports, trains and exits 0 under `vramtrack run --sim`.
- **figures**: live and peak bytes, and the list of blocks with addresses and sizes, are those of `torch.cuda`.
- **stacks**: the lines of the program in each block's stack are those of `torch.cuda.memory._snapshot()`.
- **holders**: the weights are called by the variable that holds them, and a global of the program is named as holder.
- **FAQ sample**: `docs/examples/leaky_train.py` gets the finding `history-accumulation` on its line.

| PyTorch | CUDA | CPython | runs | figures | stacks | holders | FAQ sample |
|--|--|--|--|--|--|--|--|
"""


def run(vramtrack, python, folder, *command):
    done = subprocess.run([vramtrack, "run", "--sim", "-o", folder / "out", "--", python, *command], cwd=folder,
                          capture_output=True, text=True, timeout=900)
    reports = sorted((folder / "out").glob("vramtrack-*[0-9].json"))
    return done, [json.loads(path.read_text()) for path in reports]


def lines_of(report, site, file):
    return [f["line"] for f in (report["frames"][i] for i in site["stack"]) if f["file"] == str(file)]


def compare(report, said, file):
    sites = {site["id"]: site for site in report["sites"]}
    ours = {int(a["address"], 16): a for a in report["allocations"] if a["layer"] == "tensor"}
    theirs = {address: (size, lines) for address, size, lines in said["blocks"]}
    total = [t for t in report["totals"] if t["layer"] == "tensor"]
    figures = (sum(t["live_bytes"] for t in total) == said["live"] and sum(t["peak_bytes"] for t in total) == said["peak"]
               and {a: b["bytes"] for a, b in ours.items()} == {a: size for a, (size, _) in theirs.items()})
    # A block of backward has no line of the program, or the one that started it: both sides say the same.
    both = ours.keys() & theirs.keys()
    stacks = bool(both) and all(lines_of(report, sites[ours[a]["site"]], file) == theirs[a][1] for a in both)
    tensors = [a["tensor"] for a in ours.values() if a["tensor"]]
    holders = any(t["name"] == "kept['weights'].weight" and t["holder"].startswith("__main__.") for t in tensors)
    return figures, stacks, holders


def try_release(vramtrack, python, folder):
    """-> a row's cells"""
    script = folder / "versions_program.py"
    script.write_text(PROGRAM)
    done, reports = run(vramtrack, python, folder, script, folder / "said.json")
    if done.returncode or not reports:
        sys.stderr.write(done.stdout + done.stderr)
        return ["", "", "", "no", "", "", "", ""]
    said = json.loads((folder / "said.json").read_text())
    found = compare(reports[0], said, script)
    again = folder / "again"
    again.mkdir()
    done, reports = run(vramtrack, python, again, LEAKY)
    line = 1 + next(i for i, text in enumerate(LEAKY.read_text().splitlines()) if "total_loss += loss " in text)
    faq = done.returncode == 0 and any(f["code"] == "history-accumulation" and f["line"] == line
                                       for report in reports for f in report["findings"])
    words = ["yes" if good else "no" for good in (True, *found, faq)]
    return [said["torch"], said["cuda"], said["python"], *words]


def release_of(python):
    asked = subprocess.run([python, "-c", "import importlib.metadata as m; print(m.version('torch'))"], capture_output=True, text=True)
    return asked.stdout.strip().split("+")[0]


def order(row):
    release, python = row.split("|")[1], row.split("|")[3]
    return [int(n) for n in re.findall(r"\d+", release)][:3] + [int(n) for n in re.findall(r"\d+", python)]


def what(row):
    """Release and minor version of CPython: a row each."""
    _, release, _, python, *_ = row.split("|")
    return release.split("+")[0].strip(), python.strip().split(".")[:2]


def main(vramtrack, *pairs):
    for pair in pairs:
        version, _, python = pair.partition("=")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            if release_of(python) != version:
                subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
                python = folder / "venv" / "bin" / "python"
                subprocess.run([python, "-m", "pip", "install", "--quiet", f"torch=={version}", "numpy"], check=True)
            cells = try_release(str(pathlib.Path(vramtrack).resolve()), str(python), folder)
        cells[0] = cells[0] or version
        rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d", line)] if PAGE.exists() else []
        rows = [row for row in rows if what(row) != what("| " + " | ".join(cells))]
        rows.append("| " + " | ".join(cells) + " |")
        PAGE.write_text(HEAD + "\n".join(sorted(rows, key=order)) + "\n")
        print(rows[-1])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
