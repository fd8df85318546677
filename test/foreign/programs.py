#!/usr/bin/env python3
"""Programs of others on the simulated GPU, as they are: programs.toml lists them, with the commit and what must hold.

    test/foreign/programs.py SOURCES [--python PATH] [--list] [--write] [NAME...]

SOURCES holds their repositories as OWNER/NAME, checked out at the commits of the list; nothing is fetched, and nothing of
them is in this repository. Each program runs twice in a copy, on the simulated GPU alone and traced. PATH is a Python that
has PyTorch and what the programs import. --write puts what was seen into docs/simulated-gpu.md; rows of other programs
stay. The exit code is 1 when something does not hold."""

import argparse
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build"))
LIST = pathlib.Path(__file__).with_name("programs.toml")
PAGE = ROOT / "docs" / "simulated-gpu.md"
BEGIN, END = "<!-- programs: written by test/foreign/programs.py -->\n", "<!-- end of programs -->\n"
HEAD = "| program | exit | ranks | figures | false findings | CPU time |\n|--|--|--|--|--|--|\n"

# Runs in the program's processes: what PyTorch says of itself at the very end, and the processor time until then.
WITNESS = """
import atexit, os, json, sys
def tell():
    torch, times = sys.modules.get("torch"), os.times()
    used = torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized()
    told = {"cpu": times.user + times.system, "devices": {}}
    for i in range(torch.cuda.device_count() if used else 0):
        figures = torch.cuda.memory_stats(i)
        if figures.get("allocated_bytes.all.peak"):
            told["devices"][i] = [figures["allocated_bytes.all.current"], figures["allocated_bytes.all.peak"]]
    with open(os.path.join(os.environ["WITNESS"], "%d.json" % os.getpid()), "w") as file:
        json.dump(told, file)
atexit.register(tell)
"""


# ---- what the programs would download


def png(path, side=256):
    rows = b"".join(b"\0" + random.randbytes(side * 3) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def make_images(folder):
    for part in "train", "test", "val":
        for i in range(8):
            png(folder / part / f"{i}.png")
            png(folder / part / f"class{i % 2}" / f"{i}.png")


def make_mnist(folder, counts={"train": 1920, "t10k": 256}):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, count in counts.items():
        images = struct.pack(">4I", 0x803, count, 28, 28) + random.randbytes(count * 784)
        labels = struct.pack(">2I", 0x801, count) + bytes(i % 10 for i in range(count))
        (raw / f"{name}-images-idx3-ubyte").write_bytes(images)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(labels)


def make_text(path):
    words = "the of and to in is that it for was on are as with they be at one have this from or had by hot word".split()
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [" ".join(random.choices(words, k=9)).capitalize() + ", O God!" for _ in range(1000)]
    path.write_text("\n".join(lines) + "\n")


def make(what, folder):
    kind, _, place = what.partition(":")
    whole = {"train": 60000, "t10k": 10000}
    {"mnist": make_mnist, "whole-mnist": lambda folder: make_mnist(folder, whole), "images": make_images, "text": make_text}[kind](folder / place)


# ---- a run


def words_of(command, python):
    words = shlex.split(command)
    replaced = {"python": [python], "torchrun": [python, "-m", "torch.distributed.run"]}
    return replaced.get(words[0], words[:1]) + words[1:]


class Ran:
    def __init__(self, program, python, folder, *options):
        """Runs the program's command under `vramtrack run OPTIONS`."""
        # A compiler's worker may still write into its cache when the program has ended.
        with tempfile.TemporaryDirectory(prefix="vramtrack-foreign-", ignore_cleanup_errors=True) as name:
            place = pathlib.Path(name)
            (place / "sitecustomize.py").write_text(WITNESS)
            if "world" in program:
                options += ("--sim-world", str(program["world"]))
            if program.get("compute"):
                options += ("--sim-compute",)
            paths = [name, *(str(folder / path) for path in program.get("paths", []))]
            environment = {**os.environ, "PYTHONPATH": ":".join(paths), "WITNESS": name, "OMP_NUM_THREADS": "1"}
            for cache in "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR":  # the second run compiles what the first did
                environment[cache] = str(place / cache)
            done = subprocess.run(
                [BUILD / "bin" / "vramtrack", "run", f"--sim={program.get('sim', '24GiB')}", "-o", place / "out", *options, "--",
                 *words_of(program["command"], python)],
                cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=900)
            self.code, self.output, self.errors = done.returncode, done.stdout, done.stderr
            self.told = {int(path.stem): json.loads(path.read_text()) for path in place.glob("*.json")}
            self.reports = [json.loads(path.read_text()) for path in (place / "out").glob("vramtrack-*.json")
                            if ".oom-" not in path.name]

    def cpu(self):
        return sum(one["cpu"] for one in self.told.values())

    def tensors(self, report):
        """{device: [live, peak]} of one process"""
        return {str(t["device"]): [t["live_bytes"], t["peak_bytes"]] for t in report["totals"]
                if t["layer"] == "tensor" and t["peak_bytes"]}


def look(program, plain, traced):
    """(cells of the row, what does not hold)"""
    wrong = []
    used = [report for report in traced.reports if traced.tensors(report)]
    ranks = program.get("ranks", 1)
    if plain.code != traced.code or traced.code != program.get("exit", 0):
        wrong.append(f"exit {plain.code}, traced {traced.code}")
    if len(used) != ranks:
        wrong.append(f"{len(used)} processes used a device, not {ranks}")
    if program.get("prints", "") not in traced.output + traced.errors:
        wrong.append(f"its output lacks {program['prints']!r}")
    compared = [(traced.tensors(report), traced.told[report["process"]["pid"]]["devices"]) for report in used
                if report["process"]["pid"] in traced.told]
    part = slice(0, 1) if program.get("resets_peak") else slice(0, 2)
    equal = sum({k: v[part] for k, v in ours.items()} == {k: v[part] for k, v in theirs.items()} for ours, theirs in compared)
    if equal != len(compared) or not compared:
        wrong.append(f"figures: {compared}")
    found = [f for report in traced.reports for f in report["findings"] if f["severity"] != "info"]
    false = [f for f in found if f["code"] not in program.get("findings", [])]
    wrong += [f"finding {f['code']}: {f['title']} ({f['file']}:{f['line']})" for f in false]
    lost = sum(report["losses"]["dropped_events"] + report["losses"]["unknown_frees"] for report in traced.reports)
    if lost:
        wrong.append(f"{lost} events lost")
    true = len(found) - len(false)
    figures = f"{equal} of {len(compared)}" if equal != len(compared) or not compared else "equal"
    return [str(traced.code), str(len(used)), figures, f"{len(false)}" + (f" ({true} true)" if true else ""),
            f"{traced.cpu() / max(plain.cpu(), 0.01):.2f}"], wrong


def try_program(program, repository, sources, python):
    source = sources / repository
    with tempfile.TemporaryDirectory(prefix="vramtrack-foreign-") as name:
        copy = pathlib.Path(name) / "copy"
        shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        folder = copy / program["folder"]
        random.seed(0)
        for what in program.get("made", []):
            make(what, folder)
        for command in program.get("prepare", []):
            before = Ran({**program, "command": command}, python, folder, "--no-trace")
            if before.code:
                return None, [f"{command}: exit {before.code}", before.errors[-2000:]]
        plain = Ran(program, python, folder, "--no-trace")
        traced = Ran(program, python, folder, "--quiet")
        cells, wrong = look(program, plain, traced)
        return cells, wrong + ([traced.errors[-2000:]] if wrong else [])


# ---- the page


def write(rows):
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    kept = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ") and line + "\n" not in HEAD}
    kept.update({name: "| " + " | ".join([name, *cells]) + " |" for name, cells in rows.items()})
    order = [program["name"] for _, program in programs()]
    lines = [kept[name] for name in order if name in kept]
    PAGE.write_text(before + BEGIN + HEAD + "".join(line + "\n" for line in lines) + END + after)


def programs():
    for repository in tomllib.loads(LIST.read_text())["repository"]:
        for program in repository["programs"]:
            yield repository, program


def checked_out(source):
    """The commit of a clone; None where there is none to ask (an archive)."""
    asked = subprocess.run(["git", "-C", source, "rev-parse", "HEAD"], capture_output=True, text=True)
    return asked.stdout.strip() or None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("sources", type=pathlib.Path)
    arguments.add_argument("--python", default=sys.executable)
    arguments.add_argument("--list", action="store_true", help="print what would run")
    arguments.add_argument("--write", action="store_true", help="put the rows into docs/simulated-gpu.md, each as it is seen")
    arguments.add_argument("names", nargs="*", help="beginnings of names; all programs unless given")
    options = arguments.parse_intermixed_args()
    failed = 0
    for repository, program in programs():
        name, source = program["name"], options.sources / repository["name"]
        if options.names and not name.startswith(tuple(options.names)):
            continue
        if options.list:
            print(f"{name}: {repository['name']}/{program['folder']}: {program['command']}")
            continue
        if checked_out(source) not in (None, repository["commit"]) or not source.is_dir():
            print(f"{name}: {source} is not {repository['name']} at {repository['commit']}", flush=True)
            failed += 1
            continue
        try:
            cells, wrong = try_program(program, repository["name"], options.sources.resolve(), options.python)
        except subprocess.TimeoutExpired:
            cells, wrong = None, ["no end after 15 minutes"]
        print(f"{name}: {' | '.join(cells or ['not run'])}", *wrong, sep="\n    ", flush=True)
        failed += bool(wrong)
        if options.write and cells is not None and not re.search(r"\|", name):
            write({name: cells})
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
