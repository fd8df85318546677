"""Whether captured stacks are exact, for as long as one likes: VRAMTRACK_CHECK_STACKS compares every one of them with a full
walk by libunwind and with what CPython says. Every kind of Python frame under every CPython found, and training in
several threads; on the simulated GPU. Ends with 1 if one stack was wrong.

exact.py [--seconds 60]          seconds for each program
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from conftest import VRAMTRACK  # noqa: E402
from pythons import REFUSED  # noqa: E402
from test_stacks import FOUND, PROGRAMS, checked  # noqa: E402

FRAMES = f"""
import ctypes, sys, time
sys.path.insert(0, {str(PROGRAMS)!r})
import python_stacks
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    python_stacks.everything()
    python_stacks.with_greenlets()
    for address in python_stacks.expected:
        python_stacks.RUNTIME.cudaFree(ctypes.c_void_p(int(address, 16)))
    python_stacks.expected.clear()
"""

TRAINING = """
import sys, threading, time, torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset
end = time.monotonic() + float(sys.argv[1])

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 16), nn.Linear(16, 1)

    def forward(self, x):
        return checkpoint(self.head, self.lstm(x)[0], use_reentrant=False)

def train(model, shape):
    model = model.cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    while time.monotonic() < end:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=len(shape) == 3):
            loss = model(torch.randn(*shape, device="cuda")).float().square().mean()
        loss.backward()
        optimizer.step()
        list(batch.cuda(non_blocking=True) * 2 for (batch,) in loader)

loader = DataLoader(TensorDataset(torch.randn(16, 8)), batch_size=8, pin_memory=True)
models = [(nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 2, 64), 2), (8, 4, 32)),
          (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)), (4, 3, 8, 8)),
          (Recurrent(), (6, 4, 16))]
models[1][0](torch.randn(4, 3, 8, 8))
threads = [threading.Thread(target=train, args=args) for args in models]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def run(python, program, seconds):
    """(stacks, compared with CPython too, not comparable, mismatches) of a program that runs for so long."""
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, "program.py")
        script.write_text(program)
        command = [VRAMTRACK, "run", "--sim=80GiB", "-o", folder, "--", python, script, seconds]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                              env=dict(os.environ, VRAMTRACK_CHECK_STACKS="1"))
    if done.returncode != 0:
        raise SystemExit(f"error: {python} ended with {done.returncode}\n{done.stderr[-3000:]}")
    return checked(done)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    programs = {f"CPython {version}": (path, FRAMES) for version, path in FOUND.items() if version not in REFUSED}
    programs["training"] = sys.executable, TRAINING
    print(f"{'':16}{'stacks':>12}{'with CPython':>14}{'not comparable':>16}{'mismatches':>12}")
    wrong = 0
    for name, (python, program) in programs.items():
        figures = run(python, program, seconds)
        wrong += figures[3]
        print(f"{name:16}{figures[0]:>12,}{figures[1]:>14,}{figures[2]:>16,}{figures[3]:>12,}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
