"""No name that PyTorch's libraries want may be missing when the simulated libraries take the place of NVIDIA's."""

import functools
import importlib.util
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD

SITE = pathlib.Path(importlib.util.find_spec("torch").origin).parents[1]
# Libraries of NVIDIA's that the simulation replaces by their soname; the others are loaded and answer for themselves.
REPLACED = {line.strip() for line in (BUILD / "lib/sim/preload.txt").read_text().splitlines()}
WANTED = re.compile(r"^(?:cu|__cuda|nccl|nvml)[A-Z_]?\w+$")


@functools.cache
def names(path, kind):
    """Dynamic symbols without their versions: "--defined-only" or "--undefined-only"."""
    out = subprocess.run(["nm", "-D", "--format=posix", kind, path], capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in out.splitlines()}


def needed(path):
    out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", out))


def test_every_wanted_name_exists():
    libraries = [path for path in (SITE / "torch" / "lib").glob("*.so*") if not path.is_symlink()]
    if not any(path.name == "libtorch_cuda.so" for path in libraries):
        pytest.fail("the PyTorch of the tests is built without CUDA")
    simulated = set().union(*(names(BUILD / "lib/sim" / name, "--defined-only") for name in REPLACED))
    real = {}
    for path in (SITE / "nvidia").rglob("*.so*"):
        if path.name not in REPLACED:
            real.setdefault(path.name, path)
    wanted = 0
    for library in libraries:
        undefined = {name for name in names(library, "--undefined-only") if WANTED.match(name)}
        beside = [real[name] for name in needed(library) if name in real]
        answered = simulated.union(*(names(path, "--defined-only") for path in [*beside, *libraries]))
        assert undefined <= answered, (library.name, sorted(undefined - answered))
        wanted += len(undefined)
    assert wanted > 300
