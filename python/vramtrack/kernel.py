"""`vramtrack kernel install`: a Jupyter kernel of this Python that runs under the tracer.

It writes one kernel spec, a folder with kernel.json, where Jupyter looks for it. Jupyter itself is not imported.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import List, Optional


def kernel_spec(display_name: str, sim: Optional[str], out: Optional[str]) -> dict:
    """The content of kernel.json."""
    argv = [sys.executable, "-m", "vramtrack", "run", "--quiet"]
    if sim:
        argv.append("--sim=" + sim)
    if out:
        argv += ["-o", out]
    argv += ["--", sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    return {"argv": argv, "display_name": display_name, "language": "python", "metadata": {"debugger": True}}


def data_folder(prefix: Optional[str], environment: bool) -> Path:
    """Where Jupyter looks: of a prefix, of this environment (sys.prefix), or of the user."""
    if prefix:
        return Path(prefix) / "share" / "jupyter"
    if environment:
        return Path(sys.prefix) / "share" / "jupyter"
    if os.environ.get("JUPYTER_DATA_DIR"):
        return Path(os.environ["JUPYTER_DATA_DIR"])
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jupyter"


def main(arguments: List[str]) -> int:
    """Exit code: 0, 1 with one `error:` line, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="vramtrack kernel", description="Adds or removes a Jupyter kernel that is traced.")
    parser.add_argument("action", choices=["install", "remove"])
    parser.add_argument("--name", default="vramtrack", help="folder of the kernel spec (default: vramtrack)")
    parser.add_argument("--display-name", default="Python (vramtrack)")
    parser.add_argument("--sim", nargs="?", const="80GiB", metavar="SIZE", help="on a simulated GPU")
    parser.add_argument("-o", "--output", metavar="DIR", help="where the traces go (default: vramtrack-out beside the notebook)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (default)")
    where.add_argument("--sys-prefix", action="store_true", help="in this Python environment")
    where.add_argument("--prefix", help="in another prefix")
    options = parser.parse_args(arguments)
    if not options.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        parser.error("--name: letters, digits, '-', '_' and '.' only")
    folder = data_folder(options.prefix, options.sys_prefix) / "kernels" / options.name
    try:
        if options.action == "remove":
            shutil.rmtree(folder)
            print("removed %s" % folder)
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        spec = kernel_spec(options.display_name, options.sim, options.output)
        (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        print("error: %s: %s" % (error.filename or folder, error.strerror), file=sys.stderr)
        return 1
    print("installed %s: choose %r in Jupyter" % (folder, options.display_name))
    return 0
