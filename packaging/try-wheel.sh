#!/usr/bin/env bash
# try-wheel.sh [--torch PYTHON] WHEEL [PYTHON...]: installs the wheel into a fresh environment of each PYTHON (default:
# every one that is found) and uses it. --torch names a Python whose PyTorch the environments of its version may borrow: there
# a leaking program is run and its line has to be named. Elsewhere the program and the library are run without PyTorch.
# Removed again, it has to leave nothing.
set -euo pipefail
torch=""
[ "${1:-}" = --torch ] && { torch=$2; shift 2; }
wheel=$(realpath "${1:?usage: try-wheel.sh [--torch PYTHON] WHEEL [PYTHON...]}")
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
example=$root/docs/examples/leaky_train.py
pythons=("$@")
if ((!${#pythons[@]})); then
  mapfile -t pythons < <(cd "$root/test/e2e" && python3 -c 'import pythons; print(*pythons.interpreters().values(), sep="\n")')
  ((${#pythons[@]})) || { echo "error: no CPython found" >&2; exit 1; }
fi
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for python in "${pythons[@]}"; do
  version=$(version_of "$python")
  cd "$work"
  rm -rf "$work/venv" "$work/run" && mkdir "$work/run"
  "$python" -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --no-deps --no-index --disable-pip-version-check "$wheel"
  cd "$work/run"
  "$work/venv/bin/vramtrack" --help | grep -q 'vramtrack run --sim'
  "$work/venv/bin/python" -m vramtrack ps >/dev/null
  mapfile -t codes < <("$work/venv/bin/vramtrack" explain | cut -d' ' -f1)
  ((${#codes[@]} > 10))
  for code in "${codes[@]}"; do # the page that reports send their readers to
    "$work/venv/bin/vramtrack" explain "$code" | grep -c "^# .$code.\$" >/dev/null
  done
  "$work/venv/bin/python" -c 'import vramtrack; assert not vramtrack.is_active() and vramtrack.live() == {}; vramtrack.mark("x")'
  "$work/venv/bin/vramtrack" run --sim -- "$work/venv/bin/python" -c \
    'import vramtrack; assert vramtrack.is_active() and vramtrack.live()["live_bytes"] == 0' 2>/dev/null
  said="installed, runs"
  if [ -n "$torch" ] && [ "$(version_of "$torch")" = "$version" ]; then
    "$torch" -c 'import importlib.util, os; print(os.path.dirname(os.path.dirname(importlib.util.find_spec("torch").origin)))' >"$work/venv/lib/python$version/site-packages/borrowed.pth"
    before=$(date +%s%N)
    "$work/venv/bin/vramtrack" run --sim -- "$work/venv/bin/python" "$example" >/dev/null 2>summary.txt || true
    grep -q 'history-accumulation.*leaky_train.py:27' summary.txt || { cat summary.txt >&2; echo "error: $version: the leak was not named" >&2; exit 1; }
    said+=", names leaky_train.py:27 with PyTorch ($((($(date +%s%N) - before) / 1000000)) ms)"
  fi
  "$work/venv/bin/pip" uninstall --quiet --yes vramtrack 2>/dev/null
  left=$(find "$work/venv" -name '*vramtrack*' -print -quit)
  [ -z "$left" ] || { echo "error: $version: left after uninstalling: $left" >&2; exit 1; }
  echo "CPython $version: $said, leaves nothing"
done
