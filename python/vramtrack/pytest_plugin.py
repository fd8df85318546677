"""pytest plugin: tests that may not leave GPU memory behind, nor take more than they should.

    pytest --vramtrack --sim                        # a simulated GPU: any machine, the same result every time
    @pytest.mark.vramtrack(limit="64 MiB", no_leaks=True)

A test is judged over its own body: what its fixtures made before it is theirs, and what they hold behind it (the gradients
of a fixture's model) as far as they end with the test. pytest starts itself again under
`vramtrack run` where it does not run there already; with xdist the workers inherit that.
"""

import copy
import json
import os
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from vramtrack import _process
from vramtrack._units import parse_size, show

_DEFAULT_SIM = "80GiB"
_STARTED = "VRAMTRACK_PYTEST"  # set in the pytest that we have started again
_PEAK, _LEFT = "vramtrack_peak_bytes", "vramtrack_left_bytes"  # properties of a test's report
_MARK = "vramtrack(limit=None, no_leaks=True): with --vramtrack, fail when the test's GPU memory exceeds `limit` " \
        "(\"64 MiB\") at any moment, or when it leaves memory behind (no_leaks=False: it may)"


def pytest_addoption(parser: Any) -> None:
    group = parser.getgroup("vramtrack", "GPU memory (vramtrack)")
    group.addoption("--vramtrack", action="store_true", help="check the GPU memory of tests marked with vramtrack(...)")
    group.addoption("--vramtrack-all", action="store_true",
                    help="check every test: as if each unmarked one were marked vramtrack(no_leaks=True)")
    group.addoption("--sim", nargs="?", const=_DEFAULT_SIM, default=None, metavar="SIZE", dest="vramtrack_sim",
                    help="with --vramtrack: on a simulated GPU (as in `vramtrack run --sim=SIZE`)")
    group.addoption("--vramtrack-out", default=None, metavar="DIR", help="with --vramtrack: where the traces go")


def _wanted(options: Any) -> bool:
    return bool(options.vramtrack or options.vramtrack_all)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: Any, parser: Any, args: List[str]) -> None:
    """Before anything of the user's is imported: goes on under the launcher. Does not return then."""
    if "--sim" in args:  # without "=" it has no size: what follows, as in `--sim tests/`, names tests
        args[:] = ["--sim=" + _DEFAULT_SIM if one == "--sim" else one for one in args]
        early_config.known_args_namespace = parser.parse_known_args(args, namespace=copy.copy(early_config.option))
    options = early_config.known_args_namespace
    if not _wanted(options) or _process.is_active() or hasattr(early_config, "workerinput"):
        return
    if os.environ.get(_STARTED):
        raise pytest.UsageError("vramtrack: pytest was started under `vramtrack run`, but nothing is preloaded into it; "
                                "`vramtrack doctor -- python -m pytest` says why")
    from vramtrack._program import ProgramMissing, find_program

    try:
        program = find_program()
    except ProgramMissing as error:
        raise pytest.UsageError(str(error)) from None
    command = [program, "run", "--quiet"]
    if options.vramtrack_sim:
        command.append("--sim=" + options.vramtrack_sim)
    if options.vramtrack_out:
        command += ["-o", options.vramtrack_out]
    else:
        os.environ["VRAMTRACK_OUT"] = os.path.abspath(os.path.join(".pytest_cache", "vramtrack"))
        command += ["-o", os.environ["VRAMTRACK_OUT"]]
    command += ["--", sys.executable, "-m", "pytest", *early_config.invocation_params.args]
    capture = early_config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)  # gives us back the real stdin, stdout and stderr
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, command, {**os.environ, _STARTED: "1"})


def pytest_configure(config: Any) -> None:
    config.addinivalue_line("markers", _MARK)
    if config.option.vramtrack_sim and not _wanted(config.option):
        raise pytest.UsageError("--sim belongs to --vramtrack")
    if _wanted(config.option):
        config.pluginmanager.register(_Plugin(config), "vramtrack-checks")


def limits(item: Any) -> Optional[Tuple[Optional[int], bool]]:
    """(limit in bytes or None, whether it may leave nothing) of a test; None: it is not checked."""
    marker = item.get_closest_marker("vramtrack")
    if marker is None:
        return (None, True) if item.config.option.vramtrack_all else None
    values: Dict[str, Any] = dict(marker.kwargs)
    limit, no_leaks = values.pop("limit", None), values.pop("no_leaks", True)
    if marker.args or values:
        raise pytest.UsageError("%s: vramtrack(%s): known are limit=... and no_leaks=..." % (
            item.nodeid, ", ".join([repr(one) for one in marker.args] + list(values))))
    try:
        return (parse_size(limit) if limit is not None else None), bool(no_leaks)
    except ValueError as error:
        raise pytest.UsageError("%s: vramtrack(limit=...): %s" % (item.nodeid, error)) from None


def _ends_with_fixture(item: Any) -> Callable[[Any], bool]:
    """Whether a block is held by a fixture of the test that ends with it: through pytest, or by the fixture's own frame."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    names = [name for name, made_by in known.items() if made_by and made_by[-1].scope == "function"]
    ways = tuple(".funcargs['%s']" % name for name in names)
    frames = tuple("%s() local " % name for name in names)
    return lambda block: bool(block.holder) and (block.holder.startswith(frames) or any(way in block.holder for way in ways))


class _Plugin:
    """In each process that runs tests, and with xdist in the one that hands them out."""

    def __init__(self, config: Any) -> None:
        self.worker = hasattr(config, "workerinput")
        self.folder = config.option.vramtrack_out or os.environ.get("VRAMTRACK_OUT") or "vramtrack-out"
        self.figures: Dict[str, Dict[str, Any]] = {}

    def pytest_collection_modifyitems(self, items: List[Any]) -> None:
        for item in items:
            limits(item)  # a mistake in a marker is said at once, not in the middle

    @pytest.hookimpl(hookwrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: Any) -> Any:
        wanted = limits(pyfuncitem)
        if wanted is None:
            yield
            return
        from vramtrack._left import Watch

        limit, no_leaks = wanted
        watch = Watch(sites=limit is not None)
        outcome = yield
        if outcome.excinfo is not None:
            return  # it has failed for its own reason; its traceback holds what it made
        left = watch.end().without(_ends_with_fixture(pyfuncitem))
        pyfuncitem.user_properties += [(_PEAK, left.peak_bytes), (_LEFT, left.bytes)]
        said = []
        if limit is not None and left.peak_bytes > limit:
            said.append("vramtrack: the test took %s of GPU memory at its peak, %s more than its limit of %s. It allocated at:" % (
                show(left.peak_bytes), show(left.peak_bytes - limit), show(limit)))
            said += ["%10s at most  %s" % (show(site.peak_bytes), site.line or "?") for site in left.sites[:5]]
        if no_leaks and left.groups:
            said.append("vramtrack: the test left %s of GPU memory behind, at %d call site%s:" % (
                show(left.bytes), len(left.groups), "" if len(left.groups) == 1 else "s"))
            said += left.lines()
        if said:
            outcome.force_exception(pytest.fail.Exception("\n".join(said), pytrace=False))

    def pytest_runtest_logreport(self, report: Any) -> None:
        properties = dict(report.user_properties)
        if report.when == "call" and _PEAK in properties:
            self.figures[report.nodeid] = {"name": report.nodeid, "peak_bytes": properties[_PEAK],
                                           "live_bytes": properties[_LEFT]}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.worker or not self.figures:
            return
        path = os.path.join(self.folder, "vramtrack-tests.json")
        count = len(self.figures)
        said = "vramtrack: the GPU memory of %d test%s was checked" % (count, "" if count == 1 else "s")
        try:
            os.makedirs(self.folder, exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"schema": "vramtrack-tests/1", "tests": list(self.figures.values())}, file, indent=1)
            said += "; figures for `vramtrack check`: %s" % path
        except OSError as error:
            said += "; its figures could not be written: %s: %s" % (path, error.strerror)
        terminalreporter.write_line(said)

