#!/bin/sh
# Builds the report page and the diff page from its sources and the pinned npm packages.
#   build.sh          writes dist/, which is checked in: a C++ build needs no node
#   build.sh --check  fails when the checked-in files are not what the sources give
set -eu
cd "$(dirname "$0")"
command -v node >/dev/null || { echo "error: node is needed to build the page (Debian: apt-get install nodejs npm)" >&2; exit 1; }
if [ ! -d node_modules/esbuild ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  # The platform's esbuild binary comes as its own package; its install script is not needed.
  npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
fi
if [ "${1:-}" = "--check" ]; then
  fresh=$(mktemp -d)
  trap 'rm -rf "$fresh"' EXIT
  node build.mjs "$fresh"
  diff -rq "$fresh" dist || { echo "error: dist/ is stale: run page/build.sh" >&2; exit 1; }
  cmp node_modules/uplot/LICENSE licences/uplot.txt
else
  node build.mjs
fi
