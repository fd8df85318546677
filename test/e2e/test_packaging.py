"""What ships: licences against what the linker took, completions and manual against the program."""

import re
import subprocess

from conftest import BUILD, ROOT, VRAMTRACK

NOTICE = (ROOT / "NOTICE").read_text()

# What a link or a compilation may take in from outside, and the paragraph of NOTICE that speaks of it. None: the system's
# own, which is not shipped.
ARCHIVES = {"libdw.a": "elfutils", "libelf.a": "elfutils", "libz.a": "zlib", "liblzma.a": "XZ Utils", "libbz2.a": "bzip2",
            "libzstd.a": "Zstandard", "libstdc++.a": "GCC", "libgcc.a": "GCC", "libgcc_eh.a": "GCC", "libc_nonshared.a": None}
HEADERS = {"nlohmann": "JSON for Modern C++", "CLI": "CLI11", "tsl": "robin-map", "fmt": "fmt", "spdlog": "spdlog"}
SYSTEM_HEADERS = re.compile(r"/usr/(include/(c\+\+|x86_64-linux-gnu|bits|sys|linux|asm|asm-generic|gnu|elfutils|[\w+.-]+\.h)|lib/)")


def named(part):
    return any(line.startswith(part) for line in NOTICE.splitlines())


def test_every_archive_in_the_program_is_in_the_notice():
    text = (BUILD / "vramtrack.map").read_text(errors="replace")
    taken = {path.rsplit("/", 1)[-1] for path in re.findall(r"^(/\S+\.a)\(", text, re.M) if not path.startswith(str(BUILD))}
    assert {"libdw.a", "libelf.a", "libz.a"} <= taken  # the map is one, and was read rightly
    assert taken <= ARCHIVES.keys(), f"not in NOTICE: {taken - ARCHIVES.keys()}"
    for part in {ARCHIVES[name] for name in taken} - {None}:
        assert named(part), f"NOTICE does not name {part}"


def test_every_compiled_in_header_library_is_in_the_notice():
    deps = subprocess.run(["ninja", "-C", BUILD, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    foreign = set()
    product = False
    for line in deps.splitlines():
        if not line.startswith(" "):
            product = not line.startswith("test/")
        elif product and line.strip().startswith("/usr/include/") and not SYSTEM_HEADERS.match(line.strip()):
            foreign.add(line.strip().split("/")[3])
    assert {"nlohmann", "CLI"} <= foreign
    assert foreign <= HEADERS.keys(), f"not in NOTICE: {foreign - HEADERS.keys()}"
    for name in foreign:
        assert named(HEADERS[name]), f"NOTICE does not name {HEADERS[name]}"


def test_every_text_that_the_notice_names_is_there_and_no_other():
    texts = set(re.findall(r"\b([\w.-]+\.txt)\b", NOTICE))
    there = {path.name for folder in ("packaging/licences", "page/licences") for path in (ROOT / folder).glob("*.txt")}
    assert texts == there
    assert all(len((ROOT / "packaging/licences" / name).read_text()) > 140 for name in there - {"uplot.txt"})


def test_the_program_needs_libc_only():
    needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", VRAMTRACK], capture_output=True, text=True).stdout)
    assert set(needed) <= {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}


def test_completions_know_the_commands_and_options(tmp_path):
    """bash, asked as it asks at a TAB."""
    script = f"""
PATH={BUILD / "bin"}:$PATH
source {ROOT / "packaging/completions/vramtrack.bash"}
ask() {{ COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _vramtrack; printf '%s ' "${{COMPREPLY[@]}}"; echo; }}
ask vramtrack repo
ask vramtrack report --fo
ask vramtrack run -- python {tmp_path}/tr
"""
    (tmp_path / "train.py").touch()
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.splitlines()
    assert [line.split() for line in said[:2]] == [["report"], ["--format"]]
    assert said[2].split() == [f"{tmp_path}/train.py"]


def test_the_manual_names_every_command(tmp_path):
    made = tmp_path / "vramtrack.1"
    subprocess.run(["python3", ROOT / "packaging/man/make_man.py", VRAMTRACK, made], check=True)
    text = made.read_text()
    commands = re.findall(r'^COMMAND\(\w+, "(\w+)"', (ROOT / "tools/commands.def").read_text(), re.M)
    assert len(commands) > 8 and all(f"\n.SH {name.upper()}\n" in text for name in commands)


def test_links_in_the_documentation_lead_somewhere():
    """Files and headings; what is on the web is not asked."""
    bad = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists():
                bad.append(f"{page.relative_to(ROOT)}: {link}")
            elif anchor and target.suffix == ".md":
                heads = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
                if anchor not in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}:
                    bad.append(f"{page.relative_to(ROOT)}: {link}")
    assert not bad, bad


def test_the_site_lists_pages_that_exist():
    listed = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert len(listed) > 15 and all((ROOT / "docs" / name).exists() for name in listed)
