"""The form of the sources, looked at with the tools and settings of .pre-commit-config.yaml."""

import pathlib
import subprocess
import sys

from conftest import ROOT

FOLDERS = ["contract", "interpose", "cupti", "report", "tools", "sim", "test", "page", "python", "packaging", "dev", "docs"]


def sources(*suffixes):
    found = [path for top in FOLDERS for path in (ROOT / top).rglob("*") if path.suffix in suffixes]
    return sorted(str(path.relative_to(ROOT)) for path in found if "node_modules" not in path.parts)


def check(tool, *arguments):
    program = pathlib.Path(sys.executable).with_name(tool)
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_cpp_is_formatted():
    files = sources(".cpp", ".hpp", ".c", ".h")
    assert len(files) > 700
    check("clang-format", "--dry-run", "-Werror", *files)


def test_ruff_finds_nothing():
    check("ruff", "check", "--no-cache", ".")


def test_types_of_the_developers_tools_hold(tmp_path):
    check("mypy", "--cache-dir", tmp_path, *map(str, sorted((ROOT / "dev").glob("*.py"))))
