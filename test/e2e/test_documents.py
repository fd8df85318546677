"""The commands that README and documents tell to type: each exists, with each option that it is given there."""

import functools
import re
import shlex
import subprocess

from conftest import ROOT, VRAMTRACK

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = set(re.findall(r'^COMMAND\(\w+, "(\w+)"', (ROOT / "tools/commands.def").read_text(), re.M))
PYTHONS = {"kernel"}  # commands of the Python package


def lines_to_type(page):
    """The lines of a page's console blocks, and what stands in its inline code, that begin with one of our programs."""
    text = page.read_text()
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\s*(-\s+(run:\s*)?)?(\$\s+)?", "", line)  # a prompt, or a step of a CI's file
            if re.match(r"(\w+=\S+ )*(\./|packaging/|vramtrack [a-z])", line):
                yield re.sub(r"(\s+#|\s{3,}).*", "", line)
    for code in re.findall(r"`(vramtrack [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        yield code


def simple_commands(line):
    """The commands that a line runs, as words."""
    for part in re.split(r"&&|[;|]|(?<![0-9>])&(?!\w)", re.sub(r"[0-9]?>{1,2}\s*\S+|<\S+", "", line)):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words:
            yield words


@functools.cache
def options_of(command):
    done = subprocess.run([VRAMTRACK, command, "--help-all"], capture_output=True, text=True)
    text = done.stdout if done.returncode == 0 else subprocess.run([VRAMTRACK, command, "--help"], capture_output=True, text=True).stdout
    return set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", text))


def mistakes(words):
    if words[0] != "vramtrack":
        path = ROOT / words[0]
        return [] if path.exists() or not words[0].endswith(".sh") else [f"no {words[0]}"]
    if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
        return []  # `vramtrack CMD`, `vramtrack --help`
    if words[1] in PYTHONS:
        return []
    if words[1] not in COMMANDS:
        return [f"no command {words[1]}"]
    own = words[2 : words.index("--")] if "--" in words else words[2:]
    given = [re.split(r"\[?=", word)[0] for word in own if re.match(r"--?[A-Za-z]", word)]
    known = options_of(words[1])
    return [f"{words[1]} knows no {option}" for option in given if option not in known and not re.fullmatch("-v+", option)]


def test_every_command_of_the_documents_exists():
    wrong, seen = [], 0
    for page in PAGES:
        for line in lines_to_type(page):
            for words in simple_commands(line):
                seen += 1
                wrong += [f"{page.relative_to(ROOT)}: {line}: {what}" for what in mistakes(words)]
    assert seen > 150
    assert not wrong, "\n".join(wrong)


def test_a_wrong_command_is_found():
    assert mistakes(["vramtrack", "run", "--simm", "--", "python", "--no-such"]) == ["run knows no --simm"]
    assert mistakes(["vramtrack", "rum"]) == ["no command rum"]
    assert mistakes(["packaging/no-such.sh"]) == ["no packaging/no-such.sh"]
    assert mistakes(["vramtrack", "report", "--format", "html", "-o", "x.html"]) == []
