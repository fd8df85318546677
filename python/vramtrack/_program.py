"""The program `vramtrack` and the libraries beside it: where they are, and how to run it from inside a process."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional


class ProgramMissing(RuntimeError):
    """The program `vramtrack` is neither in the package nor in PATH."""


def find_program() -> str:
    """The path of the program: the package's own, else $VRAMTRACK_PROGRAM, else the one in PATH.

    Raises ProgramMissing, saying what to do.
    """
    own = Path(__file__).parent / "_native" / "bin" / "vramtrack"
    if own.is_file():
        return str(own)
    found = os.environ.get("VRAMTRACK_PROGRAM") or shutil.which("vramtrack")
    if not found:
        raise ProgramMissing("the program `vramtrack` was not found: install the wheel again, or name it in VRAMTRACK_PROGRAM")
    return found


def clean_environment() -> Dict[str, str]:
    """This process's environment without what makes a traced process of a child."""
    kept = dict(os.environ)
    preload = [path for path in kept.get("LD_PRELOAD", "").replace(" ", ":").split(":")
               if path and os.path.basename(path) != "libvramtrack.so" and "/lib/sim/" not in path]
    if preload:
        kept["LD_PRELOAD"] = ":".join(preload)
    else:
        kept.pop("LD_PRELOAD", None)
    return kept


def run(arguments: List[str], timeout: Optional[float] = None) -> str:
    """Runs the program and returns its standard output. Raises RuntimeError with its `error:` line when it fails."""
    done = subprocess.run([find_program(), *arguments], env=clean_environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(lines[-1] if lines else "vramtrack %s: exit code %d" % (arguments[0], done.returncode))
    return done.stdout.decode("utf-8", "replace")
