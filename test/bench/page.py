"""How fast the report page opens and answers, in headless Chromium: least and median of several tries.

    page.py [--tries N] [--json FILE]

Two made-up reports, the sizes of the page's budgets: 5,000 sites, 4,096 points, 10,000 blocks; and 50,000 frames,
100,000 blocks. Per try the page is opened anew:

- open: from the navigation's start until its first frame is drawn, with reading and parsing the file; script: the same
  from the first line of the page's script;
- each action: until the next frame is through. Both are read in the page, from performance.now() and its marks.

`cpu` is what the page's main thread used meanwhile, which other programs on the machine disturb less. VRAMTRACK_BUILD names the build folder (default: build). Software rendering, so a desktop is faster.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VRAMTRACK_BUILD", ROOT / "build"))
sys.path[:0] = [str(ROOT / "test" / "e2e"), str(ROOT / "test" / "corpus")]

import synthetic_report  # noqa: E402
from browser import Browser  # noqa: E402

SIZES = {
    "usual": ["--sites", "5000", "--blocks", "10000", "--points", "4096"],
    "large": ["--sites", "5000", "--frames", "50000", "--blocks", "100000", "--points", "4096"],
}

# Before each measured action the page is brought to the state in front of it, unmeasured.
ACTIONS = {
    "flame: first view": ((), "{tab: 'flame'}"),
    "flame: search": (("{query: ''}",), "{query: 'forward'}"),
    "flame: another search": ((), "{query: 'linear'}"),
    "flame: end of search": ((), "{query: ''}"),
    "flame: zoom": (("{query: ''}", "descend"), "zoom"),
    "flame: all frames": ((), "{frames: 'all', node: ''}"),
    "flame: search in all frames": ((), "{query: 'helper'}"),
    "flame: zoom in all frames": (("{query: ''}", "descend"), "zoom"),
    "flame: at peak": (("{frames: 'own', query: '', node: ''}",), "{at: 'peak'}"),
    "call sites: first view": (("{at: 'now'}",), "{tab: 'sites'}"),
    "call sites: search": ((), "{query: 'forward'}"),
    "tensors: first view": (("{query: ''}",), "{tab: 'tensors'}"),
    "tensors: search": ((), "{query: 'layer4'}"),
    "tensors: another search": ((), "{query: 'attn'}"),
    "tensors: end of search": ((), "{query: ''}"),
    "segments: first view": ((), "{tab: 'segments'}"),
    "segments: search": ((), "{query: 'attn'}"),
}

FRAME = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
# Down three frames, then into the frame that the keys are on.
KEY = "document.querySelector('.flame canvas').dispatchEvent(new KeyboardEvent('keydown', {{key: '{}', cancelable: true}}))"
DESCEND = ";".join([KEY.format("ArrowDown")] * 3)


def cpu(page):
    metrics = page.call("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration") * 1000


def perform(page, patch):
    """Milliseconds until the next frame, and of the main thread's CPU."""
    do = {"descend": DESCEND, "zoom": KEY.format("Enter")}.get(patch, f"window.vramtrack.store.set({patch})")
    page.evaluate(FRAME)
    before = cpu(page)
    took = page.evaluate(f"(async () => {{ const t = performance.now(); {do}; await {FRAME}; return performance.now() - t; }})()")
    return took, cpu(page) - before


def one_try(path):
    with Browser() as browser:
        page = browser.open(path, prepare=lambda page: page.call("Performance.enable", {"timeDomain": "threadTicks"}))
        took = {"open: cpu": cpu(page), "script": float(page.evaluate("document.documentElement.dataset.ready")), "open": page.evaluate("performance.getEntriesByName('vramtrack-drawn')[0].startTime")}
        for what, (before, patch) in ACTIONS.items():
            for step in before:
                perform(page, step)
            took[what], took[f"{what}: cpu"] = perform(page, patch)
        took["heap, MB"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        assert page.problems == [] and page.requests == []
        return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=7)
    parser.add_argument("--json", help="write the figures there too")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for size, arguments in SIZES.items():
            source, path = pathlib.Path(folder, f"{size}.json"), pathlib.Path(folder, f"{size}.html")
            source.write_text(json.dumps(synthetic_report.build(synthetic_report.parse(arguments)), ensure_ascii=False), encoding="utf-8")
            subprocess.run([BUILD / "bin" / "vramtrack", "report", source, "--format", "html", "-o", path], check=True)
            tries = [one_try(path) for _ in range(options.tries)]
            results[size] = {"bytes": path.stat().st_size, **{key: [min(t[key] for t in tries), statistics.median(t[key] for t in tries)] for key in tries[0]}}
    print(f"{'least / median of ' + str(options.tries) + ' tries, ms':34}" + "".join(f"{size:>18}" for size in SIZES))
    print(f"{'page, MB':34}" + "".join(f"{results[size]['bytes'] / 1e6:18.2f}" for size in SIZES))
    for key in list(results["usual"])[1:]:
        print(f"{key:34}" + "".join(f"{least:10.1f} /{median:6.1f}" for least, median in (results[size][key] for size in SIZES)))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
