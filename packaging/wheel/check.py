"""check.py WHEEL PLATFORM LARGEST_BYTES FOLDER: refuses a wheel that would not work elsewhere, else puts it into FOLDER
under its platform tag.

Looked at: that auditwheel finds PLATFORM's glibc enough and nothing to graft, what each binary needs, that it is small
enough, and that the texts of all licences are in it, the manual and what shells complete commands by.
"""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Parts of glibc: before 2.34 threads and dlopen lived in libraries of their own.
LIBC = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2",
        "ld-linux-aarch64.so.1"}


# Where exceptions of other libraries pass through it, it has to share their unwinder. Of the libraries that every system
# has, by the policies of manylinux.
MORE = {"vramtrack/_native/lib/sim/libcuda.so.1": {"libgcc_s.so.1"}}

# Below share/ of the environment that it is installed in.
SHARED = ("man/man1/vramtrack.1", "man/man1/vramtrack-run.1", "bash-completion/completions/vramtrack",
          "zsh/site-functions/_vramtrack", "fish/vendor_completions.d/vramtrack.fish")


def fail(message):
    sys.exit("error: " + message)


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        fail("%s: %s" % (" ".join(command), done.stdout.strip()))
    return done.stdout


def check_binaries(folder, newest):
    found = 0
    for path in sorted(Path(folder).rglob("*")):
        if not path.is_file() or path.open("rb").read(4) != b"\x7fELF":
            continue
        found += 1
        name = path.relative_to(folder)
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", str(path))))
        unknown = needed - LIBC - MORE.get(str(name), set())
        if unknown:
            fail("%s needs %s" % (name, ", ".join(sorted(unknown))))
        versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output("objdump", "-T", str(path)))
        most = max(((int(a), int(b)) for a, b in versions), default=(2, 0))
        if most > newest:
            fail("%s needs GLIBC_%d.%d" % (name, *most))
        print("%-60s %8d bytes  GLIBC_%d.%d" % (name, path.stat().st_size, *most))
    if found < 10:
        fail("only %d binaries: the simulated GPU is missing" % found)


def main(wheel, platform, largest, target):
    *newest, machine = re.match(r"manylinux_(\d+)_(\d+)_(\w+)", platform).groups()
    newest = tuple(map(int, newest))
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
            names = archive.namelist()
        check_binaries(folder, newest)
        notice = next(Path(folder).glob("*.dist-info/licenses/NOTICE")).read_text()
    for text in re.findall(r"[\w.-]+\.txt", notice):
        if not any(name.endswith("/" + text) for name in names):
            fail("the text of a licence is missing: " + text)
    for shared in SHARED:
        if not any(name.endswith(".data/data/share/" + shared) for name in names):
            fail("not in the wheel: share/" + shared)
    said = output(sys.executable, "-m", "auditwheel", "show", wheel)
    tags = re.findall(r'manylinux_(\d+)_(\d+)_' + machine, said)
    if not tags or min(tuple(map(int, tag)) for tag in tags) > newest:
        fail("auditwheel: " + said)
    tagged = output(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", platform, wheel).strip().splitlines()[-1]
    made = Path(wheel).with_name(Path(tagged).name)
    if made.stat().st_size > int(largest):
        fail("%s has %d bytes, more than %s" % (made.name, made.stat().st_size, largest))
    os.replace(made, Path(target) / made.name)
    print("%s: %d bytes" % (made.name, (Path(target) / made.name).stat().st_size))


if __name__ == "__main__":
    main(*sys.argv[1:])
