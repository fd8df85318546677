"""Where the time of a training step goes, by sampling: bench.py --shares. A share is of one run, so that it means the
same on a busy machine; it leaves out what the recorder costs others (cache lines, calls into the interpreter)."""

import pathlib
import shutil
import signal
import subprocess
import tempfile

OURS = "libvramtrack.so"
PER_SECOND = 4000


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def sampled(worker, seconds):
    """{(object, function): samples} of the worker's Python process while it works."""
    (pid,) = children(worker.process.pid)
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "perf.data")
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", PER_SECOND, "-p", pid, "-o", data]
        perf = subprocess.Popen([str(c) for c in command], stderr=subprocess.DEVNULL)
        worker.work_for(seconds)
        perf.send_signal(signal.SIGINT)
        perf.wait()
        command = ["perf", "report", "-i", data, "--stdio", "-F", "sample,dso,symbol", "-t", ";"]
        done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    samples = {}
    for line in done.stdout.splitlines():
        fields = line.split(";")
        if not line.startswith("#") and len(fields) >= 3:
            key = fields[1].strip(), fields[2].strip().removeprefix("[.] ")
            samples[key] = samples.get(key, 0) + int(fields[0])
    return samples


def report(make_worker, names, seconds):
    """Prints and returns each workload's shares. `make_worker(names)` starts the traced process."""
    if shutil.which("perf") is None:
        raise SystemExit("error: --shares needs perf: apt-get install linux-perf")
    result = {"kind": "shares", "workloads": {}}
    worker = make_worker(names)
    for name in names:
        worker.hear()
        samples = sampled(worker, seconds)
        worker.tell("next")
        total = sum(samples.values())
        ours = sorted(((n, function) for (place, function), n in samples.items() if place == OURS), reverse=True)
        share = sum(n for n, _ in ours) / total
        print(f"\n{name}: {share:.1%} of {total} samples are in {OURS}")
        for n, function in ours[:12]:
            print(f"  {n / total:>7.2%}  {function[:100]}")
        result["workloads"][name] = {"samples": total, "share": share, "functions": {f: n / total for n, f in ours}}
    worker.end()
    return result
