"""The launcher: exit codes, signals, streams, and programs that cannot be traced."""

import os
import signal
import subprocess
import sys

import pytest

from conftest import BUILD, PYTHON, VRAMTRACK


SIMULATED = (BUILD / "lib" / "sim" / "preload.txt").read_text().split()


def launch(*arguments, **keywords):
    return subprocess.run([str(VRAMTRACK), *map(str, arguments)], capture_output=True, text=True, timeout=120, **keywords)


def test_exit_code_and_streams_are_the_programs_own(tmp_path):
    done = launch("run", "-o", tmp_path / "out", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 7", input="in\n")
    assert done.returncode == 7
    assert done.stdout == "in\nout\n"
    assert done.stderr.startswith("err\n")


def test_program_without_cuda_leaves_no_file(tmp_path):
    done = launch("run", "-o", tmp_path / "out", "--", sys.executable, "-c", "print(1)")
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert list((tmp_path / "out").iterdir()) == []
    assert "nothing to report" in done.stderr


def test_quiet_says_nothing(tmp_path):
    done = launch("run", "--quiet", "-o", tmp_path / "out", "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_gives_128_plus_its_number(tmp_path, number):
    done = launch("run", "-o", tmp_path / "out", "--", "sh", "-c", f"kill -{int(number)} $$")
    assert done.returncode == 128 + number


def test_signals_to_the_launcher_reach_the_program(tmp_path):
    script = "trap 'echo got term; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    started = subprocess.Popen(
        [str(VRAMTRACK), "run", "-o", str(tmp_path / "out"), "--", "sh", "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGTERM)
    assert started.stdout.readline() == "got term\n"
    assert started.wait(timeout=20) == 9


def test_ignored_signals_stay_as_they_were(tmp_path):
    done = launch("run", "--quiet", "-o", tmp_path / "out", "--", "sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    plain = subprocess.run(["sh", "-c", "grep -E 'Sig(Ign|Blk)' /proc/self/status"], capture_output=True, text=True)
    assert done.stdout == plain.stdout


def test_command_not_found_is_127_and_not_executable_126(tmp_path):
    done = launch("run", "-o", tmp_path / "out", "--", "no-such-program-here")
    assert done.returncode == 127
    assert done.stderr == "error: no-such-program-here: command not found\n"
    (tmp_path / "plain").write_text("hello")
    assert launch("run", "-o", tmp_path / "out", "--", tmp_path / "plain").returncode == 126


def test_output_folder_that_cannot_be_made_runs_untraced(tmp_path):
    (tmp_path / "file").write_text("")
    done = launch("run", "-o", tmp_path / "file" / "out", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert len(done.stderr.splitlines()) == 1 and "runs untraced" in done.stderr and str(tmp_path / "file") in done.stderr


def test_statically_linked_program_is_named(tmp_path):
    source = tmp_path / "static.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("static"); return 4; }\n')
    subprocess.run(["cc", "-static", "-o", tmp_path / "static", source], check=True)
    done = launch("run", "-o", tmp_path / "out", "--", tmp_path / "static")
    assert (done.returncode, done.stdout) == (4, "static\n")
    assert "statically linked" in done.stderr


def test_usage_errors_exit_2_with_the_nearest_name(tmp_path):
    assert "did you mean run?" in launch("rum").stderr
    assert launch("rum").returncode == 2
    wrong = launch("run", "--histroy", "--", "true")
    assert wrong.returncode == 2 and "--history" in wrong.stderr
    assert launch("run").returncode == 2
    assert launch("run", "--sim=12parsecs", "--", "true").returncode == 2
    assert launch("report", "x.vtrace", "--format", "jsno").returncode == 2
    assert "did you mean json?" in launch("report", "x.vtrace", "--format", "jsno").stderr


def test_inputs_that_are_no_traces_are_one_error_line(tmp_path):
    garbage = tmp_path / "garbage.vtrace"
    for content in (b"", b"hello world", os.urandom(100_000)):
        garbage.write_bytes(content)
        done = launch("report", garbage)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ") and str(garbage) in done.stderr
    missing = launch("report", tmp_path / "missing.vtrace")
    assert missing.returncode == 1 and str(tmp_path / "missing.vtrace") in missing.stderr


def test_help_names_every_command():
    done = launch("--help")
    assert done.returncode == 0
    for command in ("run", "report", "flamegraph", "diff", "merge", "top", "ps", "dump", "doctor"):
        assert f"\n  {command} " in done.stdout
        assert launch(command, "--help").returncode == 0


def test_environment_variables_stand_for_options(tmp_path):
    folder = tmp_path / "from-environment"
    done = launch("run", "--", "true", env={**os.environ, "VRAMTRACK_OUT": str(folder), "VRAMTRACK_QUIET": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert folder.is_dir()


def test_the_installed_tree_works_alone(tmp_path):
    """Program, library and simulated GPU find each other in another place, with the launcher and with a bare preload."""
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
    source = """
import ctypes
kept = ctypes.c_void_p()
assert ctypes.CDLL("libcudart.so.13").cudaMalloc(ctypes.byref(kept), ctypes.c_size_t(12345)) == 0
print(open("/proc/self/maps").read())
"""
    run = [prefix / "bin" / "vramtrack", "run", "--sim", "-o", tmp_path / "out", "--", PYTHON, "-c", source]
    done = subprocess.run(list(map(str, run)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{prefix}/lib/libvramtrack.so" in done.stdout and f"{prefix}/lib/sim/libcudart.so.13" in done.stdout
    assert str(BUILD) not in done.stdout
    assert "12.1 KiB" in done.stderr and len(list((tmp_path / "out").glob("*.json"))) == 1
    preload = [prefix / "lib" / "libvramtrack.so", *(prefix / "lib" / "sim" / n for n in SIMULATED)]
    environment = {"LD_PRELOAD": ":".join(map(str, preload)), "VRAMTRACK_SIM": "8GiB", "VRAMTRACK_OUT": str(tmp_path / "bare")}
    bare = subprocess.run([PYTHON, "-c", source], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
    assert bare.returncode == 0 and len(list((tmp_path / "bare").glob("*.json"))) == 1, bare.stderr
    assert (prefix / "share/doc/vramtrack/docs/report.schema.json").exists()
