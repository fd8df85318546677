#!/usr/bin/env bash
# Builds vramtrack and runs the leaking example on real PyTorch with the simulated GPU. Can be run again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/dev/install.sh"

install_packages "${build_packages[@]}"
python_and_tree "$torch_requirement" numpy==2.4.6 -- -DVRAMTRACK_TESTS=OFF

out=$build/demo
rm -rf "$out"
say "running docs/examples/leaky_train.py on a simulated 80 GiB GPU"
printf '\n$ vramtrack run --sim -- python docs/examples/leaky_train.py\n'
cd "$root"
"$build/bin/vramtrack" run --sim -o "$out" -- "$venv/bin/python" docs/examples/leaky_train.py
report=$(ls "$out"/vramtrack-*.json)
page=$out/report.html
"$build/bin/vramtrack" report "$report" --format html -o "$page"
printf '\n'
say "the page: $page (one file, opens offline)"
