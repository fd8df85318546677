"""What ships: the wheel as it is installed, licences against what the linker took, completions and manual against the
program."""

import os
import re
import shutil
import subprocess
import zipfile

import pytest
from conftest import BUILD, PYTHON, ROOT, VRAMTRACK

NOTICE = (ROOT / "NOTICE").read_text()

# What a link or a compilation may take in from outside, and the paragraph of NOTICE that speaks of it. None: the system's
# own, which is not shipped.
ARCHIVES = {"libdw.a": "elfutils", "libelf.a": "elfutils", "libz.a": "zlib", "liblzma.a": "XZ Utils", "libbz2.a": "bzip2",
            "libzstd.a": "Zstandard", "libutf8proc.a": "utf8proc", "libstdc++.a": "GCC", "libgcc.a": "GCC", "libgcc_eh.a": "GCC", "libc_nonshared.a": None}
HEADERS = {"nlohmann": "JSON for Modern C++", "CLI": "CLI11", "tsl": "robin-map", "fmt": "fmt", "spdlog": "spdlog"}
SYSTEM_HEADERS = re.compile(r"/usr/(include/(c\+\+|x86_64-linux-gnu|bits|sys|linux|asm|asm-generic|gnu|elfutils|[\w+.-]+\.h)|lib/)")


def named(part):
    return any(line.startswith(part) for line in NOTICE.splitlines())


def test_every_archive_in_the_program_is_in_the_notice():
    text = (BUILD / "vramtrack.map").read_text(errors="replace")
    taken = {path.rsplit("/", 1)[-1] for path in re.findall(r"^(/\S+\.a)\(", text, re.M) if not path.startswith(str(BUILD))}
    assert {"libdw.a", "libelf.a", "libz.a", "libutf8proc.a"} <= taken  # the map is one, and was read rightly
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of what is built, packed by the same back end as packaging/build-wheel.sh's. It runs on this system alone."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE", "NOTICE", "python", "packaging", "page/licences"):
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    native = source / "python" / "vramtrack" / "_native"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", native], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(native / "share")  # beside the package, in a wheel
    packed = subprocess.run([PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", source,
                             "--config-settings=wheel.cmake=false", "--config-settings=wheel.platlib=true", source], capture_output=True, text=True)
    assert packed.returncode == 0, packed.stderr
    (made,) = source.glob("*.whl")
    return made


def test_the_wheel_holds_the_texts_and_the_entries(wheel):
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    read = lambda name: archive.read(f"{info}/{name}").decode()  # noqa: E731
    texts = {name.rsplit("/", 1)[-1] for name in archive.namelist() if f"{info}/licenses/" in name}
    assert texts >= {"LICENSE", "NOTICE", *re.findall(r"\b([\w.-]+\.txt)\b", NOTICE)}
    version = re.search(r"project\(vramtrack VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert f"\nVersion: {version}\n" in read("METADATA") and "\nRequires-Python: >=3.9\n" in read("METADATA")
    assert "Tag: py3-none-linux_x86_64" in read("WHEEL")
    assert {"vramtrack = vramtrack.__main__:main", "vramtrack = vramtrack.pytest_plugin"} <= set(read("entry_points.txt").splitlines())
    assert "vramtrack/py.typed" in archive.namelist()


def test_the_wheel_in_a_fresh_environment(wheel):
    """Installed, used with and without PyTorch, removed: by the script that tries a wheel on every Python."""
    done = subprocess.run([ROOT / "packaging" / "try-wheel.sh", "--torch", PYTHON, wheel, PYTHON], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "names leaky_train.py:27 with PyTorch" in done.stdout and "leaves nothing" in done.stdout


def test_pytest_finds_the_plugin_of_the_wheel(wheel, tmp_path):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel], check=True)
    (site / "borrowed.pth").write_text(os.path.dirname(os.path.dirname(pytest.__file__)) + "\n")
    asked = subprocess.run([python, "-m", "pytest", "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert "--vramtrack " in asked.stdout, asked.stdout + asked.stderr


def test_the_first_command_of_the_readme_installs_the_wheel():
    commands = re.findall(r"^\$ (.*)", (ROOT / "README.md").read_text(), re.M)
    assert re.match(r"pip install .*vramtrack", commands[0]) and commands[1] == "vramtrack run -- python train.py"


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
    subprocess.run(["python3", ROOT / "packaging/man/make_man.py", made, VRAMTRACK], check=True)
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
