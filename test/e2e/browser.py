"""Drives headless Chromium over its DevTools pipe: no driver, no web socket, no package.

    with Browser() as browser:
        page = browser.open(path, width=1400, height=900, dark=False)
        page.evaluate("document.title")
        page.click("#tab-flame")
        page.screenshot(path)
        assert page.problems == [] and page.requests == []
"""
import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium():
    for name in (os.environ.get("VRAMTRACK_CHROMIUM"), *NAMES):
        if name and shutil.which(name):
            return shutil.which(name)
    raise RuntimeError("no Chromium found (Debian: apt-get install chromium; or set VRAMTRACK_CHROMIUM)")


class Browser:
    def __init__(self, timeout=60):
        self.timeout = timeout
        self.profile = tempfile.mkdtemp(prefix="vramtrack-browser-")
        ours_out, theirs_in = os.pipe()  # naming: seen from this process
        theirs_out, ours_in = os.pipe()
        read_child, write_child, self.read_fd, self.write_fd = ours_out, ours_in, theirs_out, theirs_in

        def place():
            # The protocol is spoken on descriptors 3 (to the browser) and 4 (from it).
            high_read, high_write = os.dup(read_child), os.dup(write_child)
            os.dup2(high_read, 3)
            os.dup2(high_write, 4)

        self.log = open(os.path.join(self.profile, "log"), "wb")
        self.process = subprocess.Popen(
            [find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--force-color-profile=srgb", "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--disable-component-update", "--mute-audio", f"--user-data-dir={self.profile}/data", "--remote-debugging-pipe",
             "about:blank"],
            preexec_fn=place, close_fds=False, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        os.close(read_child)
        os.close(write_child)
        self.buffer = b""
        self.ids = itertools.count(1)
        self.pages = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.read_fd)
        os.close(self.write_fd)
        self.log.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, params=None, session=None):
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        limit = time.monotonic() + self.timeout
        while True:
            reply = self.receive(limit - time.monotonic(), method)
            if reply.get("id") == number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]

    def receive(self, wait, what):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0, wait))
            data = os.read(self.read_fd, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError(f"Chromium gave no answer to {what}; its log is in {self.log.name}")
            self.buffer += data
        raw, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(raw)
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.heard(message["method"], message["params"])
        return message

    def open(self, path, width=1400, height=900, dark=False, hash="", prepare=None):
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session, target)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        if prepare:
            prepare(page)
        page.url = Path(path).resolve().as_uri() + hash
        page.call("Page.navigate", {"url": page.url})
        page.until("document.documentElement?.dataset.ready !== undefined || document.querySelector('[role=alert]') !== null")
        page.settle()  # its first resize has come: nothing moves under the mouse
        return page


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.problems = []  # console errors and warnings, exceptions, CSP violations
        self.requests = []  # everything asked for beyond the page itself
        self.url = ""

    def call(self, method, params=None):
        return self.browser.call(method, params, self.session)

    def heard(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded":
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and params["request"]["url"].split("#")[0] != self.url.split("#")[0]:
            self.requests.append(params["request"]["url"])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def until(self, expression, wait=30):
        limit = time.monotonic() + wait
        while not self.evaluate(expression):
            if time.monotonic() > limit:
                raise RuntimeError(f"never true: {expression}; problems: {self.problems}")
            time.sleep(0.02)

    def settle(self):
        """Waits for two frames: what was asked is drawn, and its resize or search timer has run."""
        self.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 120))")

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def where(self, selector):
        """The middle of an element, scrolled into view."""
        box = self.evaluate(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
                            "e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect();"
                            "return [r.x + r.width / 2, r.y + r.height / 2, r.x, r.y]; })()")
        if box is None:
            raise RuntimeError(f"no element {selector}")
        return box

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})

    def click(self, selector, at=None):
        """Clicks an element with a real mouse event; `at` is an offset from its corner."""
        x, y, left, top = self.where(selector)
        if at:
            x, y = left + at[0], top + at[1]
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)
        self.settle()

    def drag(self, selector, start, end):
        _, _, left, top = self.where(selector)
        self.mouse("mouseMoved", left + start[0], top + start[1])
        self.mouse("mousePressed", left + start[0], top + start[1], button="left", clickCount=1)
        for part in range(1, 6):
            self.mouse("mouseMoved", left + start[0] + (end[0] - start[0]) * part / 5, top + start[1] + (end[1] - start[1]) * part / 5, button="left", buttons=1)
        self.mouse("mouseReleased", left + end[0], top + end[1], button="left", clickCount=1)
        self.settle()

    def key(self, key, text=None):
        code = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}.get(key, 0)
        params = {"key": key, "windowsVirtualKeyCode": code}
        if len(key) == 1:
            params["text"] = text or key
        self.call("Input.dispatchKeyEvent", {"type": "keyDown", **params})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", "key": key, "windowsVirtualKeyCode": code})
        self.settle()

    def type(self, text):
        self.call("Input.insertText", {"text": text})
        self.settle()

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def screenshot(self, path, whole=False):
        params = {"format": "png"}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params |= {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", params)["data"]))

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", {"printBackground": True})["data"])
