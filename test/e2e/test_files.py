"""Files that others put in the way: hostile folders, links, pipes, other users, equal process ids. Whoever can write to
the output folder or the current one must not make us run, read, overwrite or wait for anything."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time

import pytest

from conftest import BUILD, LIBRARY, PYTHON, VRAMTRACK

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int cudaMalloc(void **, size_t);
int main(int argc, char **argv) {
  void *p;
  if (cudaMalloc(&p, 1 << 20) != 0) return 3;
  puts("allocated"); fflush(stdout);
  if (argc > 1) { char c; if (read(0, &c, 1) < 0) return 4; }
  return 0;
}
"""
SIM = BUILD / "lib" / "sim"
OTHER = 65534  # nobody
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="plays another user")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "main.c").write_text(PROGRAM)
    subprocess.run(["cc", "-g", "-O0", "-o", folder / "main", folder / "main.c", SIM / "libcudart.so.13", f"-Wl,-rpath,{SIM}"], check=True)
    return folder / "main"


@pytest.fixture(scope="module")
def good(program, tmp_path_factory):
    out = tmp_path_factory.mktemp("good")
    subprocess.run([str(VRAMTRACK), "run", "--quiet", "--sim", "-o", str(out), "--", str(program)], check=True, timeout=60, stdout=subprocess.DEVNULL)
    (trace,) = out.glob("*.vtrace")
    return trace


def tool(*arguments, **keywords):
    keywords = {"timeout": 60, "stdin": subprocess.DEVNULL, **keywords}
    return subprocess.run([str(VRAMTRACK), *map(str, arguments)], capture_output=True, text=True, **keywords)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# ---- the current folder -----------------------------------------------------------------------------------------------


def test_doctor_runs_nothing_of_the_current_folder(tmp_path):
    """Nor of PYTHONPATH: its packages are only listed."""
    modules = ["sysconfig", "site", "importlib", "os", "email", "csv", "zipfile", "sitecustomize", "usercustomize", "json", "re"]
    for folder in (tmp_path, tmp_path / "path"):
        folder.mkdir(exist_ok=True)
        for name in modules:
            (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    listed = tmp_path / "path" / "torch-9.8.7.dist-info"
    listed.mkdir()
    (listed / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.8.7\n")
    for path in ("", ":", str(tmp_path / "path")):
        done = tool("doctor", cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
        assert done.returncode == 0 and "CPython 3." in done.stdout, done.stdout + done.stderr
        assert not (tmp_path / "executed").exists(), path
    bare = "/usr/bin/python3"  # one that has no torch of its own, so that the listed one is found
    if os.access(bare, os.X_OK):
        done = tool("doctor", "--", bare, "-c", "", env={**os.environ, "PYTHONPATH": str(tmp_path / "path")}, cwd=tmp_path)
        assert re.search(r"torch +9\.8\.7", done.stdout), done.stdout


# ---- what we write ----------------------------------------------------------------------------------------------------


def test_output_replaces_links_and_stays_private(good, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    os.umask(os.umask(0))
    for name, command in {
        "a.json": ["report", good, "--format", "json"],
        "a.html": ["report", good, "--html"],
        "a.pb.gz": ["report", good, "--format", "pprof"],
        "flame.html": ["flamegraph", good],
        "merged.json": ["merge", good],
        "diff.txt": ["diff", good, good],
        "dump.txt": ["dump", good],
    }.items():
        output = tmp_path / name
        output.symlink_to(precious)
        done = tool(*command, "-o", output, umask=0)
        assert done.returncode == 0, done.stderr
        assert not output.is_symlink() and mode(output) == 0o600 and output.stat().st_size > 0, name
    hard = tmp_path / "hard.json"
    os.link(precious, hard)
    assert tool("report", good, "--format", "json", "-o", hard).returncode == 0
    assert precious.read_text() == "precious\n"
    assert not list(tmp_path.glob("*part*"))


def test_no_name_can_be_prepared(good, tmp_path):
    """No name that we open for writing depends on what others can know: strace tells."""
    assert shutil.which("strace"), "strace is not installed (dev/install.sh lists it)"
    names = []
    for n in range(2):
        log = tmp_path / f"log{n}"
        subprocess.run(["strace", "-f", "-o", log, "-e", "trace=openat,open,creat", VRAMTRACK, "report", good, "--format",
                        "json", "-o", tmp_path / "x.json"], check=True, timeout=60, stderr=subprocess.DEVNULL)
        calls = [line for line in log.read_text().splitlines() if "O_CREAT" in line]
        assert calls
        for line in calls:
            assert "O_EXCL" in line and "O_NOFOLLOW" in line, line
            names.append(line.split('"')[1])
    assert len(set(names)) == len(names)


def test_nothing_stays_when_writing_fails(good, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema": "vramtrack-report/1", ')
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.html").write_text("kept")
    for command in (["report", broken, "--html"], ["merge", good, broken]):
        done = tool(*command, "-o", out / "kept.html")
        assert done.returncode == 1
    done = subprocess.run(["prlimit", "--fsize=4096", VRAMTRACK, "flamegraph", good, "-o", out / "kept.html"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "cannot write: File too large" in done.stderr
    assert [p.name for p in out.iterdir()] == ["kept.html"] and (out / "kept.html").read_text() == "kept"


def test_state_file_of_the_simulated_gpu(program, tmp_path):
    """In the temporary folder under a name that cannot be guessed; a link, or another's file, in its place is not used."""
    scratch, out = tmp_path / "tmp", tmp_path / "out"
    scratch.mkdir()
    show = ["sh", "-c", 'ls -l "$VRAMTRACK_SIM_STATE"']
    env = {**os.environ, "TMPDIR": str(scratch)}
    shown = [tool("run", "--sim", "-o", out, "--", *show, env=env).stdout for _ in range(2)]
    names = [re.search(rf"^-rw------- .*({re.escape(str(scratch))}/\S+)$", text, re.M).group(1) for text in shown]
    assert names[0] != names[1] and not any(re.search(r"\d{9}", name.rsplit("/", 1)[1]) for name in names)
    assert list(scratch.iterdir()) == []

    precious = tmp_path / "precious"
    precious.write_text("precious\n")
    link, pipe, hard = tmp_path / "link", tmp_path / "pipe", tmp_path / "hard"
    link.symlink_to(tmp_path / "made")
    os.mkfifo(pipe)
    os.link(precious, hard)
    for state in (link, pipe, hard):
        env = {**os.environ, "LD_PRELOAD": ":".join(str(SIM / n) for n in (SIM / "preload.txt").read_text().split()),
               "VRAMTRACK_SIM": "1GiB", "VRAMTRACK_SIM_STATE": str(state)}
        done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "allocated\n") and done.stderr.count("\n") == 1, done
        assert "vramtrack-sim:" in done.stderr
    assert precious.read_text() == "precious\n" and not (tmp_path / "made").exists()
    done = tool("run", "--sim", "-o", out, "--", program, env={**os.environ, "TMPDIR": "/nonexistent"})
    assert done.returncode == 0 and done.stdout == "allocated\n", done.stderr


# ---- what we read -----------------------------------------------------------------------------------------------------


def plant(folder):
    """Everything that is no regular file, under names that are looked for."""
    os.mkfifo(folder / "vramtrack-1.vtrace")
    os.mkfifo(folder / "vramtrack-2.json")
    (folder / "vramtrack-3.vtrace").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path is short
        server.bind("vramtrack-4.vtrace")
        os.chdir(here)
    (folder / "vramtrack-5.vtrace").mkdir()


def test_pipes_in_the_output_folder(program, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    script = f"exec > /dev/null; mkfifo {out}/vramtrack-$$.json {out}/vramtrack-7.vtrace; ln -s /dev/zero {out}/vramtrack-8.vtrace; exec {program}"
    done = tool("run", "--sim", "-o", out, "--", "sh", "-c", script)
    assert done.returncode == 0 and re.search(r"vramtrack-7\.vtrace is not a regular file: left out", done.stderr), done.stderr
    assert re.search(r"vramtrack-8\.vtrace is not a regular file: left out", done.stderr), done.stderr
    reports = [p for p in out.glob("vramtrack-*.json") if p.is_file()]
    assert len(reports) == 1 and mode(reports[0]) == 0o600  # the pipe was replaced
    shutil.rmtree(out)
    out.mkdir()
    plant(out)
    done = tool("run", "--sim", "-o", out, "--", program)
    assert done.returncode == 0 and "left out" not in done.stderr, done.stderr  # they were there before the run
    for command in (["report"], ["merge"], ["diff", out], ["dump"], ["top", "--once"], ["flamegraph"], ["check", "--budget", out / "vramtrack-2.json"]):
        for name in sorted(out.glob("vramtrack-[1-4].*")):
            done = tool(*command, name)
            assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, (command, name, done)
    assert tool("run", "--", tmp_path / "out" / "vramtrack-2.json").returncode == 126


def test_pipe_under_our_own_name(program, tmp_path):
    """Without the launcher: the trace's name, then its report's, is a pipe."""
    preload = ":".join([str(LIBRARY), *(str(SIM / n) for n in (SIM / "preload.txt").read_text().split())])
    for what in ("vtrace", "json"):
        out = tmp_path / what
        out.mkdir()
        env = {**os.environ, "VRAMTRACK_OUT": str(out), "VRAMTRACK_SIM": "1GiB"}
        script = f"mkfifo {out}/vramtrack-$$.{what}; LD_PRELOAD={preload} exec {program}"
        done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "allocated\n"), done.stderr
        (report,) = [p for p in out.glob("vramtrack-*.json") if p.is_file()]
        assert json.loads(report.read_text())["totals"]


def test_the_reporter_is_not_waited_for_for_ever(program, tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    preload = ":".join([str(LIBRARY), *(str(SIM / n) for n in (SIM / "preload.txt").read_text().split())])
    env = {**os.environ, "VRAMTRACK_OUT": str(tmp_path / "out"), "VRAMTRACK_SIM": "1GiB", "VRAMTRACK_REPORTER": str(slow),
           "VRAMTRACK_REPORTER_WAIT": "0", "LD_PRELOAD": preload}
    begin = time.monotonic()
    done = subprocess.run([program], env=env, stdout=subprocess.DEVNULL, stderr=open(tmp_path / "said", "w"))
    said = (tmp_path / "said").read_text()
    assert done.returncode == 0 and time.monotonic() - begin < 30
    assert re.fullmatch(r"vramtrack\[\d+\]: the report is not written yet after 0 s; .*\n", said), said


@root_only
def test_traces_of_others_are_left_out(good, program, tmp_path):
    """Whoever can write to the folder plants a trace, or makes ours readable for all: left out, one line each."""
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    stolen = tmp_path / "stolen.vtrace"
    shutil.copy(good, stolen)
    os.chown(stolen, OTHER, OTHER)
    loose = tmp_path / "loose.vtrace"
    shutil.copy(good, loose)
    loose.chmod(0o666)
    script = f"{program}; cp -p {stolen} {out}/vramtrack-11.vtrace; cp -p {loose} {out}/vramtrack-12.vtrace; ln -s {good} {out}/vramtrack-13.vtrace"
    done = tool("run", "--sim", "-o", out, "--", "sh", "-c", script)
    assert done.returncode == 0
    for number, why in ((11, "belongs to another user"), (12, "can be written by others"), (13, "is not a regular file")):
        assert done.stderr.count(f"vramtrack-{number}.vtrace {why}: left out") == 1, done.stderr
    assert len(list(out.glob("*.json"))) == 1


@root_only
def test_a_trace_of_another_user_names_only_what_that_user_may_read(tmp_path, program):
    """Somebody else's trace, looked at by root: no line of a file that its owner could not read."""
    home = tmp_path / "home"  # of the other user
    home.mkdir()
    source = home / "train.py"
    source.write_text("import ctypes\ncuda = ctypes.CDLL('libcudart.so.13')\ncuda.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(4096))  # MARK\n")
    done = tool("run", "--sim", "--quiet", "-o", home / "out", "--", sys.executable, source)
    assert done.returncode == 0, done.stderr
    (trace,) = (home / "out").glob("*.vtrace")

    def shows():
        text = tool("report", trace, "--format", "json").stdout
        return "# MARK" in text

    def reachable():
        for folder in source.parents:
            if folder.stat().st_mode & stat.S_IXOTH == 0:
                return False
        return True

    assert shows()  # root's own
    os.chown(trace, OTHER, OTHER)
    opened = [folder for folder in source.parents if folder.stat().st_mode & stat.S_IXOTH == 0]
    before = {folder: folder.stat().st_mode for folder in opened}
    try:
        for folder in opened:
            folder.chmod(before[folder] | stat.S_IXOTH)
        source.chmod(0o644)
        assert shows()
        source.chmod(0o600)  # root's, private
        assert not shows()
        source.chmod(0o644)
        home.chmod(0o700)
        assert not shows()
        home.chmod(0o711)
        secret = tmp_path / "secret"
        secret.write_text(source.read_text())
        secret.chmod(0o600)
        source.unlink()
        source.symlink_to(secret)
        assert not shows()
    finally:
        for folder in opened:
            folder.chmod(before[folder])


def test_a_module_or_source_that_is_a_pipe(program, tmp_path):
    """The files that a trace names are not there any more, but pipes in their place."""
    folder = tmp_path / "gone"
    folder.mkdir()
    for name in ("main", "main.c"):
        shutil.copy(program.parent / name, folder / name)
    out = tmp_path / "out"
    done = tool("run", "--sim", "--quiet", "-o", out, "--", folder / "main")
    assert done.returncode == 0, done.stderr
    (trace,) = out.glob("*.vtrace")
    cold = {**os.environ, "VRAMTRACK_CACHE": "off"}
    for name in ("main", "main.debug", ".debug"):
        if name != ".debug":
            (folder / name).unlink(missing_ok=True)
            os.mkfifo(folder / name)
    for format in ("text", "json", "html", "folded"):
        done = tool("report", trace, "--format", format, env=cold)
        assert done.returncode == 0, done.stderr
    notes = json.loads(tool("report", trace, "--format", "json", env=cold).stdout)["losses"]["notes"]
    assert any("main is not a regular file" in note for note in notes), notes


# ---- equal process ids ------------------------------------------------------------------------------------------------


def own_pid_space():
    """Whether processes can be given a pid namespace of their own here."""
    return subprocess.run(["unshare", "-pf", "--kill-child", "true"], capture_output=True).returncode == 0


def test_equal_process_ids_in_one_folder(program, tmp_path):
    """Two containers share an output folder, and their programs have the same process id: neither's trace is touched."""
    if not own_pid_space():
        pytest.skip("no pid namespaces here")
    out = tmp_path / "out"
    command = [str(VRAMTRACK), "run", "--sim", "-o", str(out), "--", "unshare", "-pf", "--mount-proc", str(program), "wait"]
    running, first = [], None
    for _ in range(2):
        one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert one.stdout.readline() == "allocated\n", one.communicate()
        running.append(one)
        first = first or [(path, path.stat().st_ino) for path in out.glob("*.vtrace")]
    assert [(path, path.stat().st_ino) for path, _ in first] == first and len(first) == 1
    traces = sorted(out.glob("*.vtrace"))
    assert len(traces) == 2 and all(re.match(r"vramtrack-\d+[.-]", t.name) for t in traces), traces
    assert len({t.name.split("-")[1].split(".")[0] for t in traces}) == 1  # the same id
    for one in running:
        said = one.communicate("x", timeout=60)[1]
        assert one.returncode == 0, said
    for trace in traces:
        report = json.loads(trace.with_suffix(".json").read_text())
        assert sum(t["allocated_bytes"] for t in report["totals"] if t["kind"] == "device") == 1 << 20
    assert len(list(out.glob("*.json"))) == 2 and not list(out.glob(".*"))


def test_what_is_no_old_trace_of_ours_is_never_replaced(program, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    script = f"echo mine > {out}/vramtrack-$$.vtrace; exec {program}"
    done = tool("run", "--sim", "--quiet", "-o", out, "--", "sh", "-c", script)
    assert done.returncode == 0
    contents = {p.name: p.read_bytes() for p in out.glob("*.vtrace")}
    assert len(contents) == 2 and b"mine\n" in contents.values(), contents.keys()
    assert len(list(out.glob("*.json"))) == 1


def test_an_older_trace_of_the_same_id_is_replaced(program, good, tmp_path):
    """As before: a process id comes back, and the folder does not fill."""
    out = tmp_path / "out"
    out.mkdir()
    name = "vramtrack-$$.vtrace"
    patch = ("import sys,struct; f=open(sys.argv[1],'r+b'); b=f.read(4096); at=b.index(b'VRAMTRC\\n')+20; f.seek(at);"
             "f.write(struct.pack('<I', int(sys.argv[2]))); f.seek(at+28); f.write(bytes(8))")
    script = f"cp {good} {out}/{name}; {PYTHON} -c \"{patch}\" {out}/{name} $$; exec {program}"
    done = tool("run", "--sim", "--quiet", "-o", out, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.vtrace"))) == 1 and len(list(out.glob("*.json"))) == 1
