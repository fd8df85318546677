"""A traced process that has imported PyTorch and runs programs in forked children: of a program of the corpus the imports
are most of the time. One program in eight, and each that starts, ends or forks processes itself or runs out of memory, is run the
plain way (`vramtrack run -- python program.py`); VRAMTRACK_TEST_PLAIN=1 does so with all of them."""

import json
import os
import re
import select
import signal
import subprocess
import zlib

from conftest import PYTHON, ROOT, VRAMTRACK

# What a program does that a child of another program could do otherwise.
OWN_PROCESS = re.compile(r"atexit|fork|subprocess|multiprocessing|num_workers|os\._exit|os\.kill|signal|sys\.(argv|exit|modules)|"
                         r"settrace|OutOfMemory|out-of-memory|random")
HOST = (ROOT / "test" / "corpus" / "warm.py").read_text()  # as text: the sources of a traced process count as its program's


def is_suitable(path):
    if os.environ.get("VRAMTRACK_TEST_PLAIN") or zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % 8 == 0:
        return False
    return not OWN_PROCESS.search(path.read_text())


class Warm:
    """Started when first asked, and again after a program that did not end."""

    def __init__(self, folder):
        self._folder, self._process = folder, None

    def run(self, path, folder, arguments=(), timeout=300):
        """The program's trace and exit code; its standard error goes to `folder`/stderr."""
        if self._process is None:
            self._process = subprocess.Popen(
                [VRAMTRACK, "run", "-o", self._folder, "--sim=80GiB", "--quiet", "--", PYTHON, "-c", HOST],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        request = {"program": str(path), "folder": str(folder), "stderr": str(folder / "stderr"), "arguments": list(arguments)}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            self.end()
            raise TimeoutError(f"{path} ran for {timeout} s")
        answer = json.loads(self._process.stdout.readline())
        traces = list(self._folder.glob(f"vramtrack-*{answer['pid']}*.vtrace"))
        assert len(traces) == 1, (traces, (folder / "stderr").read_text())
        return traces[0], answer["code"]

    def end(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
