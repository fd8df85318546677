"""contract/options.def: one row an option, and everything that is said of it elsewhere follows from the row."""

import json
import os
import subprocess
import sys

from conftest import LIBRARY, PYTHON, ROOT, VRAMTRACK

sys.path.insert(0, str(ROOT / "dev"))
import option_docs  # noqa: E402


def test_the_documents_are_made_of_the_table():
    done = subprocess.run([sys.executable, ROOT / "dev" / "option_docs.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_shows_every_option():
    text = subprocess.run([VRAMTRACK, "run", "--help"], capture_output=True, text=True, check=True).stdout
    words = " ".join(text.split())
    for option in option_docs.options():
        if option.names:
            assert option.names in words and option.help in words
        else:
            assert option.variable not in words


SIZES = """
import ctypes
cuda = ctypes.CDLL("libcudart.so.12")
for bytes in (1 << 20, 3 << 19, 2_000_000):
    assert cuda.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(bytes)) == 0
"""


def listed(report):
    return sorted(block["bytes"] for block in report["allocations"])


def test_a_size_means_the_same_in_the_launcher_and_in_the_traced_process(traced, tmp_path):
    """`1.5MiB` was read by the launcher and ignored by the library; `1mb` was 10^6 to one and 2^20 to the other."""
    for text, left in (("1.5MiB", [3 << 19, 2_000_000]), ("2mb", [2_000_000]), ("1mb", [1 << 20, 3 << 19, 2_000_000])):
        run = traced([PYTHON, "-c", SIZES], "--min-size", text, sim="1GiB")
        assert listed(run.report()) == left, text
        out = tmp_path / f"bare-{text}"
        preload = f"{LIBRARY}:" + ":".join(sim_libraries())
        env = {**os.environ, "LD_PRELOAD": preload, "VRAMTRACK_SIM": "1GiB", "VRAMTRACK_OUT": str(out)}
        env |= {"VRAMTRACK_MIN_SIZE": text, "VRAMTRACK_QUIET": "1"}
        subprocess.run([PYTHON, "-c", SIZES], env=env, check=True, timeout=60)
        (path,) = out.glob("*.json")
        assert listed(json.loads(path.read_text())) == left, text


def sim_libraries():
    folder = LIBRARY.parent / "sim"
    return [str(folder / name) for name in (folder / "preload.txt").read_text().split()]
