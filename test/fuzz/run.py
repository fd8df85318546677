#!/usr/bin/env python3
"""Builds and runs the fuzz targets (libFuzzer, of clang) on the corpus of this folder.

    test/fuzz/run.py                     an hour, all of the tools' code instrumented, with asan and ubsan
    test/fuzz/run.py --seconds 600       the same, for another time (of all targets together)
    test/fuzz/run.py --against BUILD     linked to the libraries of a build that is there: no instrumentation, in seconds

What breaks is kept as crash-*, oom-* or timeout-* in the folder of --keep. Exits with 1 when something broke."""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

FUZZ = pathlib.Path(__file__).resolve().parent
ROOT = FUZZ.parents[1]
TARGETS = ["trace", "report", "compare", "symbols", "options"]
SEED = "int inner(int a) { return a * 3; } int main(int c, char **v) { return inner(c) + (v != 0); }\n"


def build_instrumented(folder):
    environment = {**os.environ, "CC": "clang", "CXX": "clang++"}
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DVRAMTRACK_TESTS=ON",
                    "-DVRAMTRACK_FUZZ=ON", "-DVRAMTRACK_TOGETHER=ON"], check=True, env=environment, stdout=subprocess.DEVNULL)
    done = subprocess.run(["ninja", "-C", folder, "fuzz"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit("error: the fuzz targets do not build:\n" + done.stdout[-4000:])
    return {name: folder / "bin" / f"fuzz_{name}" for name in TARGETS}


def linked_libraries(build):
    """What the tool is linked to, as words of a command line; its own libraries with their folders."""
    link = subprocess.run(["ninja", "-C", build, "-t", "commands", "bin/vramtrack"], check=True, capture_output=True, text=True)
    words = shlex.split(link.stdout.strip().splitlines()[-1])
    return [str(build / word) if word.endswith(".a") and not word.startswith("/") else word
            for word in words if word.endswith(".a") or word.startswith("-l") or re.search(r"\.so(\.|$)", word)]


def build_against(build, folder):
    """Each target is one file, linked as the tool is."""
    libraries = linked_libraries(build)
    include = re.findall(r"-isystem (\S+)", subprocess.run(["ninja", "-C", build, "-t", "commands", "vramtrack_report"],
                                                           check=True, capture_output=True, text=True).stdout)
    running = {}
    for name in TARGETS:
        program = folder / f"fuzz_{name}"
        command = ["clang++", "-std=c++20", "-O1", "-fsanitize=fuzzer", f"-I{ROOT}", *[f"-isystem{path}" for path in sorted(set(include))],
                   FUZZ / f"fuzz_{name}.cpp", "-o", program, "-Wl,--start-group", *libraries, "-Wl,--end-group"]
        running[name] = (program, subprocess.Popen([str(word) for word in command]))
        if len(running) % 2 == 0:
            running[name][1].wait()
    for name, (_, compiler) in running.items():
        if compiler.wait() != 0:
            sys.exit(f"error: fuzz_{name} does not build")
    return {name: program for name, (program, _) in running.items()}


def seeds(name, folder):
    found = [FUZZ / "corpus" / name] if (FUZZ / "corpus" / name).is_dir() else []
    if name == "trace":
        found.append(ROOT / "test" / "golden")
    if name == "symbols":
        made = folder / "elf"
        made.mkdir()
        (folder / "seed.c").write_text(SEED)
        for number, options in enumerate((["-g", "-c"], ["-g", "-no-pie"], ["-g", "-shared", "-fPIC", "-O2"], ["-s"])):
            subprocess.run(["cc", *options, folder / "seed.c", "-o", made / str(number)], check=True)
        found.append(made)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, default=ROOT / "build-fuzz" / "found")
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    broken = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        programs = (build_against(arguments.against.resolve(), scratch) if arguments.against
                    else build_instrumented(ROOT / "build-fuzz"))
        for name, program in programs.items():
            work = scratch / name
            work.mkdir()
            command = [program, f"-max_total_time={max(1, arguments.seconds // len(programs))}", "-timeout=20", "-rss_limit_mb=3000",
                       "-print_final_stats=1", f"-max_len={600000 if name == 'trace' else 60000}",
                       f"-artifact_prefix={arguments.keep}/", "-detect_leaks=0", "-verbosity=1", work, *seeds(name, scratch)]
            done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, errors="replace")
            count = re.search(r"stat::number_of_executed_units: *(\d+)", done.stderr)
            print(f"{name}: {count.group(1) if count else 0} executions, exit code {done.returncode}", flush=True)
            if done.returncode != 0:
                broken.append(name)
                print(done.stderr[-6000:])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
