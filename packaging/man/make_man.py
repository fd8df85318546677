"""make_man.py OUTPUT PROGRAM...: writes vramtrack.1 from what the program (behind its emulator, if it needs one) says of
itself, so that it is never out of date."""

import re
import subprocess
import sys


def said(program, *arguments):
    return subprocess.run([*program, *arguments, "--help"], capture_output=True, text=True, check=True).stdout


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def main(output, *program):
    top = said(program)
    title, commands = top.splitlines()[0], re.findall(r"^  ([a-z]+)  +(.*)$", top, re.M)
    version = re.search(r"vramtrack (\S+):", title).group(1)
    parts = ['.TH VRAMTRACK 1 "" "vramtrack %s" "User Commands"' % version, ".SH NAME",
             "vramtrack \\- " + escape(title.partition(": ")[2]), ".SH SYNOPSIS", ".B vramtrack", "COMMAND [OPTION...]", ".br",
             ".B vramtrack run", "[OPTION...] \\-\\- CMD ARGS...", ".SH COMMANDS"]
    for name, what in commands:
        parts += [".TP", ".B " + name, escape(what)]
    for name, _ in commands:
        parts += [".SH %s" % name.upper(), ".nf", escape(said(program, name).strip()), ".fi"]
    parts += [".SH ENVIRONMENT", "Each option of", ".B vramtrack run", "names the variable that does the same where only",
              "libvramtrack.so is preloaded.", ".SH EXIT STATUS", "Of", ".B vramtrack run\\fR:",
              "that of CMD; 128+N for signal N. Of the others: 0, 1 after an error, 2 for wrong usage."]
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
