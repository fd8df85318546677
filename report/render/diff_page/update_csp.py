#!/usr/bin/env python3
"""Writes the hashes of the page's own style and script into its Content-Security-Policy. Run it after each edit of
shell.html; with --check it only fails when they are stale."""

import base64
import hashlib
import pathlib
import re
import sys

SHELL = pathlib.Path(__file__).with_name("shell.html")


def digest(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def main():
    page = SHELL.read_text(encoding="utf-8")
    style = digest(re.search(r"<style>(.*?)</style>", page, re.S).group(1))
    script = digest(re.search(r"<script>(.*?)</script>", page, re.S).group(1))
    policy = f"script-src 'sha256-{script}'; style-src 'sha256-{style}'"
    fresh = re.sub(r"script-src 'sha256-[^']*'; style-src 'sha256-[^']*'", policy, page, count=1)
    if "--check" in sys.argv:
        sys.exit(0 if fresh == page else "error: shell.html changed: run report/render/diff_page/update_csp.py")
    SHELL.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
