"""vramtrack inside a program: name what you do, ask what lives on the GPU now, read reports.

Everything here works without the tracer too: where the process was not started with `vramtrack run` (or libvramtrack.so
preloaded), `mark` and `phase` do nothing, `live` gives an empty dict, `snapshot` gives None. So the calls may stay in
the program.

    import vramtrack

    with vramtrack.phase("eval"):
        evaluate(model)
    print(vramtrack.live()["live_bytes"])
    report = vramtrack.snapshot("now.json")
"""

from vramtrack._process import is_active, live, mark, phase, snapshot
from vramtrack.report import Allocation, Finding, Frame, Holder, Report, Site, Total

__all__ = [
    "Allocation", "Finding", "Frame", "Holder", "Report", "Site", "Total",
    "is_active", "live", "mark", "phase", "snapshot", "__version__",
]


def __getattr__(name):
    if name == "__version__":  # reading a package's data takes longer than all else here
        from importlib import metadata

        try:
            return metadata.version("vramtrack")
        except metadata.PackageNotFoundError:  # used from a source tree
            return "0+source"
    raise AttributeError("module 'vramtrack' has no attribute %r" % name)


def load_ipython_extension(shell):
    """`%load_ext vramtrack`."""
    from vramtrack.notebook import load

    load(shell)
