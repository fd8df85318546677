"""What the proofs on programs of test/corpus/host share: how they are built, preloaded, and how their traces are read."""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build")).resolve()
LIBRARY = BUILD / "lib" / "libvramtrack.so"
VRAMTRACK = BUILD / "bin" / "vramtrack"
CORPUS = ROOT / "test" / "corpus" / "host"


def build_runtime(folder):
    """A CUDA runtime that takes no lock and does no work, so that whatever a signal interrupts is the library."""
    runtime = folder / "libcudart.so.13"
    if not runtime.exists():
        (folder / "map").write_text("libcudart.so.13 { global: *; };")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{runtime.name},--version-script={folder}/map",
                        "-o", runtime, CORPUS / "runtime.c"], check=True)
    return runtime


def build(folder, name, *flags, compiler="cc"):
    """The path of a program of the corpus, linked to the bare runtime. `folder` keeps both."""
    runtime = build_runtime(folder)
    program = folder / "-".join((name, compiler, *flags)).replace("/", "")
    if not program.exists():
        subprocess.run([compiler, "-O1", *flags, "-o", program, CORPUS / f"{name}.c", "-Wl,--no-as-needed", runtime,
                        f"-Wl,-rpath,{folder}", "-pthread"], check=True)
    return program


def preload(out, libraries=()):
    """The environment of a program that records into `out` without a launcher and without its report."""
    return {**os.environ, "LD_PRELOAD": ":".join(map(str, (LIBRARY, *libraries))), "VRAMTRACK_OUT": str(out),
            "VRAMTRACK_LAUNCHED": "1"}


def dump(out):
    """The text of the one trace in a folder."""
    (trace,) = out.glob("*.vtrace")
    done = subprocess.run([VRAMTRACK, "dump", trace], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(text):
    return {name: int(value) for name, value in (pair.split("=") for pair in re.search("^losses (.*)", text, re.M)[1].split())}


def account(text):
    """(live bytes, live blocks) of the CUDA layer."""
    found = re.search(r"^account \d+ layer=cuda device=0 kind=all live_bytes=(\d+) live_count=(\d+)", text, re.M)
    return int(found[1]), int(found[2])


def live(text):
    """(live bytes, live blocks) of the CUDA layer by each of the trace's three books."""
    blocks = [int(size) for size in re.findall(r"^block address=\S+ bytes=(\d+)", text, re.M)]
    sites = re.findall(r"^site .* live_bytes=(\d+) live_count=(\d+)", text, re.M)
    return {"account": account(text), "blocks": (sum(blocks), len(blocks)),
            "sites": (sum(int(size) for size, _ in sites), sum(int(count) for _, count in sites))}
