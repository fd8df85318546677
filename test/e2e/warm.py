"""A traced process that has imported PyTorch and runs programs in forked children: of a small program the imports are most
of the time. One program in eight, and each that starts, ends or forks processes itself, is run the plain way
(`vramtrack run -- python program.py`); VRAMTRACK_TEST_PLAIN=1 does so with all of them."""

import json
import os
import re
import select
import signal
import subprocess
import zlib

from conftest import PYTHON, ROOT, VRAMTRACK

# What a program does that a child of another program could do otherwise.
OWN_PROCESS = re.compile(r"atexit|fork|subprocess|multiprocessing|num_workers|os\._exit|os\.kill|signal|"
                         r"sys\.(exit|modules)|settrace|random\.|import random|# Device:")
HOST = (ROOT / "test" / "corpus" / "warm.py").read_text()  # as text: the sources of a traced process count as its program's


def is_suitable(path):
    if os.environ.get("VRAMTRACK_TEST_PLAIN") or zlib.crc32(f"{path.parent.name}/{path.name}".encode()) % 8 == 0:
        return False
    return not OWN_PROCESS.search(path.read_text())


def report_of(trace, *options):
    done = subprocess.run([VRAMTRACK, "report", "--format", "json", *options, trace], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


class Warm:
    """Started when first asked, and again after a program that did not end."""

    def __init__(self, folder):
        self._folder, self._process = folder, None

    def run(self, path, folder, arguments=(), timeout=300):
        """The program's reports, that of its end first, and its exit code; its outputs go to `folder`/stdout and stderr."""
        if self._process is None:
            command = [VRAMTRACK, "run", "-o", self._folder, "--sim=80GiB", "--quiet", "--", PYTHON, "-c", HOST]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                             text=True, start_new_session=True)
        request = {"program": str(path), "folder": str(folder), "arguments": list(map(str, arguments))}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            self.end()
            raise TimeoutError(f"{path} ran for {timeout} s")
        answer = json.loads(self._process.stdout.readline())
        traces = [path for path in self._folder.glob("*.vtrace") if path.stem.split("-")[1] == str(answer["pid"])]
        assert len(traces) == 1, (traces, (folder / "stderr").read_text())
        end = report_of(traces[0])
        return [end, *(report_of(traces[0], "--at", f"oom:{event['n']}") for event in end["ooms"])], answer["code"]

    def end(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
