"""What `vramtrack top` costs the program that it watches: steps of one training with and without a viewer, in turns.

    top_cost.py [--rounds N] [--seconds S]

The training runs traced on the simulated GPU. In every other window a `vramtrack top` with its default refresh is
attached on a pseudo-terminal. Per window: steps per second, and CPU time of the program per step, which a busy machine
disturbs less. The table gives the medians, and what the viewer itself used. VRAMTRACK_BUILD names the build folder
(default: build).
"""

import argparse
import fcntl
import os
import pathlib
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", HERE.parents[1] / "build"))

TRAINING = """
import sys, time
import torch

model = torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(4)]).cuda()
optimizer = torch.optim.Adam(model.parameters())
step = 0
while True:
    model(torch.randn(64, 256, device="cuda")).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    step += 1
    if step % 20 == 0:
        print(step, time.monotonic(), time.process_time(), flush=True)
"""


class Training:
    """The traced program, and its last line: steps done, time, CPU time."""

    def __init__(self, vramtrack, folder):
        script = folder / "training.py"
        script.write_text(TRAINING)
        self.process = subprocess.Popen(
            [vramtrack, "run", "--sim", "--quiet", "-o", folder / "out", "--", sys.executable, script], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.line = None
        threading.Thread(target=self._read, daemon=True).start()
        while self.line is None:
            if self.process.poll() is not None:
                raise SystemExit("error: the training ended before its first step")
            time.sleep(0.1)

    def _read(self):
        for line in self.process.stdout:
            self.line = [float(word) for word in line.split()]

    def window(self, seconds):
        """(steps per second, CPU seconds per step) of the next seconds."""
        begin = self.line
        time.sleep(seconds)
        end = self.line
        steps = end[0] - begin[0]
        return steps / (end[1] - begin[1]), (end[2] - begin[2]) / steps


class Viewer:
    """`vramtrack top` on a terminal of 120 x 40."""

    def __init__(self, vramtrack, pid):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(vramtrack, [str(vramtrack), "top", str(pid)])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.shown = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while data := os.read(self.terminal, 1 << 16):
                self.shown += len(data)
        except OSError:
            pass  # the viewer has ended

    def close(self):
        """CPU seconds that it used."""
        os.write(self.terminal, b"q")
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.terminal)
        if status != 0 or self.shown < 1000:
            raise SystemExit(f"error: the viewer ended with status {status} after {self.shown} bytes")
        return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    vramtrack = (BUILD / "bin" / "vramtrack").resolve()
    figures = {False: [], True: []}
    used = 0.0
    with tempfile.TemporaryDirectory() as folder:
        training = Training(vramtrack, pathlib.Path(folder))
        try:
            training.window(options.seconds)  # warm up
            for number in range(2 * options.rounds):
                watched = number % 4 in (1, 2)  # off on on off: a drift of the machine falls on both alike
                viewer = Viewer(vramtrack, training.process.pid) if watched else None
                figures[watched].append(training.window(options.seconds))
                used += viewer.close() if viewer else 0
        finally:
            training.process.terminate()  # SIGINT may be ignored, where a script runs this in the background
            training.process.wait()
    rate, cpu = ({w: statistics.median(f[i] for f in figures[w]) for w in figures} for i in (0, 1))
    print(f"steps/s: alone {rate[False]:.1f}, watched {rate[True]:.1f} ({100 * (rate[True] / rate[False] - 1):+.1f} %)")
    print(f"CPU us/step: alone {1e6 * cpu[False]:.1f}, watched {1e6 * cpu[True]:.1f} ({100 * (cpu[True] / cpu[False] - 1):+.1f} %)")
    for watched, name in ((False, "alone"), (True, "watched")):
        print(f"  {name}: " + " ".join(f"{1e6 * c:.0f}" for _, c in sorted(figures[watched], key=lambda f: f[1])))
    print(f"the viewer used {100 * used / (options.rounds * options.seconds):.1f} % of one core")


if __name__ == "__main__":
    main()
