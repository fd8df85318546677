"""docs/extending.md holds: a row in one table is all that a hook, an option, a fact or a field of the report takes, and
one file more a finding or an export. Each is added in a copy of the tree, and what the table gives is compiled there as built."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT, VRAMTRACK

sys.path.insert(0, str(ROOT / "test" / "fuzz"))
from run import linked_libraries


def commands():
    """How each source is compiled: by itself, or as one of several that a file of CMake's includes."""
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        whole, words = entry["file"], shlex.split(entry["command"])
        together = re.findall(r'^#include "(.*)"', pathlib.Path(whole).read_text(), re.M) if "/Unity/" in whole else [whole]
        found |= {source: [source if word == whole else word for word in words] for source in together}
    return found


COMMANDS = commands()


@pytest.fixture
def tree(tmp_path):
    for folder in ("contract", "interpose", "report", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def add_row(tree, table, after, row):
    path = tree / table
    before, found, rest = path.read_text().partition(after)
    assert found
    line, end, rest = rest.partition("\n")
    path.write_text(before + found + line + end + row + "\n" + rest)


def apply_diff(tree, section):
    """What the page's section adds, put there as the page has it; the C++ file among the new ones."""
    page = (ROOT / "docs" / "extending.md").read_text()
    (diff,) = re.findall(r"```diff\n(.*?)```", re.search(rf"^## {section}\n.*?(?=^## )", page, re.M | re.S)[0], re.S)
    made = []
    for name, lines in re.findall(r"^--- (.*)\n((?:\+.*\n)+)", diff, re.M):
        path, text = tree / name, re.sub(r"^\+", "", lines, flags=re.M)
        if not (ROOT / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            made.append(name)
        elif name.endswith(".def"):
            macro = text.partition("(")[0]
            add_row(tree, name, re.findall(rf"^{macro}\(\w+", path.read_text(), re.M)[-1], text.rstrip("\n"))
    (source,) = [name for name in made if name.endswith(".cpp")]
    return source


def sources_of(tree, table, macro, tmp_path):
    """What CMake builds for the rows of a table."""
    function = re.sub(r"  set_property.*\n", "", (ROOT / "cmake/rows.cmake").read_text())  # a script has no folder to build
    script = tmp_path / "rows.cmake"
    script.write_text(f'{function}vramtrack_sources(rows {tree / table} {macro})\nmessage("${{rows}}")\n')
    return subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True).stderr.strip().split(";")


def compile_in(tree, source, *more, like=None):
    """Compiles one file of the copy with the build's own command (of another file for a new one), less its output; warnings are
    errors."""
    known = str(ROOT / (like or source))
    words = [word.replace(known, str(tree / source)).replace(f"-I{ROOT}", f"-I{tree}") if f"-I{BUILD}" not in word else word
             for word in COMMANDS[known]]
    at = words.index("-o")
    # A precompiled header is of the build's own options, and of headers that the copy may have changed.
    words = [word for word in words[:at] + words[at + 2:] if word not in ("-O3", "-c", "-Winvalid-pch", "-include")
             and not word.endswith("cmake_pch.hxx")]
    done = subprocess.run([*words, "-O0", "-Werror", *(more or ("-fsyntax-only",))], cwd=BUILD, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_field_of_the_report(tree):
    add_row(tree, "report/model/report.def", "FIELD(std::vector<FrameId>, stack, {}, plain,",
            'FIELD(std::optional<std::string>, numa, {}, plain.one_of("near|far").later(), "Where it lies")')
    for source in ("report/model/read_report.cpp", "report/render/json.cpp"):
        compile_in(tree, source)
    main = tree / "main.cpp"
    main.write_text("""
#include <iostream>
#include "report/model/schema.hpp"
int main() { std::cout << vramtrack::report_schema(); }
""")
    compile_in(tree, "report/model/schema.cpp", str(main), "-o", str(tree / "schema"))
    schema = json.loads(subprocess.run([tree / "schema"], capture_output=True, text=True, check=True).stdout)
    keys = schema["properties"]["sites"]["items"]["properties"]
    assert keys["numa"] == {"description": "Where it lies.", "enum": ["near", "far", None]}


def test_a_finding(tree, tmp_path):
    source = apply_diff(tree, "A finding")
    rows = sources_of(tree, "report/findings/findings.def", "FINDING", tmp_path)
    assert source == f"report/findings/{rows[-1]}"
    main = tree / "main.cpp"
    main.write_text("""
#include <iostream>
#include "report/findings/findings.cpp"
#include "SOURCE"
int main() {
  vramtrack::Report report;
  auto& site = report.sites.emplace_back();
  site.kind = "host_pinned";
  site.verdict = "growing";
  for (const auto& finding : vramtrack::findings::find_all(report)) std::cout << finding.docs << '\\n';
}
""".replace("SOURCE", source))
    # What the copy defines itself comes before the libraries, which have it, too.
    link = [*linked_libraries(BUILD), "-Wl,--allow-multiple-definition", "-o", str(tree / "find")]
    compile_in(tree, "main.cpp", *link, like="report/findings/findings.cpp")
    assert "docs/findings/pinned-leak.md" in subprocess.run([tree / "find"], capture_output=True, text=True).stdout.splitlines()


def test_an_export(tree, tmp_path):
    source = apply_diff(tree, "An export")
    rows = sources_of(tree, "report/render/formats.def", "FORMAT", tmp_path)
    assert source == f"report/render/{rows[-1]}"
    compile_in(tree, source, like="report/render/folded.cpp")
    compile_in(tree, "tools/formats.cpp", "-S", "-o", str(tree / "out.s"))
    assert "vramtrack6render3csvERKNS" in (tree / "out.s").read_text()


def test_every_finding_and_format_is_described(tmp_path):
    listed = (ROOT / "docs/findings/README.md").read_text()
    for source in sources_of(ROOT, "report/findings/findings.def", "FINDING", tmp_path):
        code = source.removesuffix(".cpp").replace("_", "-")
        assert (ROOT / "docs/findings" / f"{code}.md").exists() and f"]({code}.md)" in listed, code
    # What reports send their readers to: the program has each page, of every code that one of its findings is made with.
    pages = {path.stem: path.read_text() for path in (ROOT / "docs/findings").glob("*.md") if path.read_text().startswith("# `")}
    codes = {code for path in (ROOT / "report/findings").glob("*.cpp") for code in re.findall(r'\bmake\(\s*"([a-z-]+)"', path.read_text())}
    told = subprocess.run([VRAMTRACK, "explain"], capture_output=True, text=True, check=True).stdout
    assert len(codes) > 10 and codes == pages.keys() == {line.split()[0] for line in told.splitlines()}
    for code, page in pages.items():
        text = subprocess.run([VRAMTRACK, "explain", code], capture_output=True, text=True, check=True).stdout
        assert text == re.sub(r"\[([^\]]*)\]\([^:)]*\)", r"\1", page)
    wrong = subprocess.run([VRAMTRACK, "explain", "growing-sight"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "") and "did you mean growing-site?" in wrong.stderr
    exports = (ROOT / "docs/exports.md").read_text()
    for name in re.findall(r'^FORMAT\(\w+, "(.*)"\)', (ROOT / "report/render/formats.def").read_text(), re.M):
        assert f"| `{name}` |" in exports, name


def test_an_option(tree):
    add_row(tree, "contract/options.def", "OPTION(Flag, quiet,",
            'OPTION(Size, ring, "--ring", "", "VRAMTRACK_RING", 0, host, "keep so many bytes of history")')
    user = tree / "interpose/core/options.cpp"
    user.write_text(user.read_text() + "\nstatic_assert(sizeof(vramtrack::g_host_options.ring) == 8);\n")
    for source in ("interpose/core/options.cpp", "tools/run/options.cpp"):
        compile_in(tree, source)
    shutil.copytree(ROOT / "dev", tree / "dev")
    for name in ("docs/running.md", "packaging/vramtrack-run.1"):
        (tree / name).parent.mkdir()
        shutil.copy(ROOT / name, tree / name)
    subprocess.run([tree / "dev" / "option_docs.py"], check=True)
    assert "`--ring SIZE`" in (tree / "docs/running.md").read_text()


def test_a_fact(tree):
    """Written and read by its row; another type than the row's does not compile."""
    add_row(tree, "contract/facts.def", 'FACT(cwd, "cwd",', 'FACT(numa, "numa", map, "exit", "where the process ran")\n'
            'FACT_FIELD(numa, 0, node, number, "that it ran on")')
    writer, reader = tree / "interpose/process/session.cpp", tree / "report/analysis/process_facts.cpp"
    source = writer.read_text()
    write = """
#include "interpose/trace/fact_writer.hpp"
void write_numa(VALUE node) {
  vramtrack::trace::FactWriter fact;
  fact.begin_map();
  fact.field(fact::numa::node, node);
  fact.write(vramtrack::trace::note_key::numa);
}
""".replace("fact::numa", "vramtrack::fact::numa")
    writer.write_text(source + write.replace("VALUE", "unsigned"))
    reader.write_text(reader.read_text() + """
std::optional<std::uint64_t> numa_node(const vramtrack::trace::TraceFile& trace) {
  return vramtrack::get(vramtrack::json_note(trace, vramtrack::trace::note_key::numa), vramtrack::fact::numa::node);
}
""")
    compile_in(tree, "interpose/process/session.cpp")
    compile_in(tree, "report/analysis/process_facts.cpp")
    writer.write_text(source + write.replace("VALUE", "const char*"))
    with pytest.raises(AssertionError, match="numa::node|no matching function"):
        compile_in(tree, "interpose/process/session.cpp")
    shutil.copytree(ROOT / "dev", tree / "dev")
    (tree / "docs").mkdir()
    shutil.copy(ROOT / "docs/trace-format.md", tree / "docs")
    subprocess.run([tree / "dev" / "fact_docs.py"], check=True)
    text = (tree / "docs/trace-format.md").read_text()
    assert "| `numa` | map | exit | where the process ran |" in text and "| `numa` | `node` | number | that it ran on |" in text


def test_a_hook(tree):
    add_row(tree, "contract/cuda_hooks.def", "HOOK(runtime, 0, cudaFreeHost,",
            "HOOK(runtime, 0, cudaHostGetDevicePointer, (void** p, void* host, unsigned int flags), (p, host, flags),"
            " ALLOC(p, 1, external, 0))")
    for source in ("interpose/cuda/table.cpp", "interpose/cuda/wrappers_runtime.cpp", "tools/cmd_doctor.cpp"):
        compile_in(tree, source, "-S", "-o", str(tree / "out.s"))
        if "wrappers" in source:
            assert "cudaHostGetDevicePointer:" in (tree / "out.s").read_text()
