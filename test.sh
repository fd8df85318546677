#!/usr/bin/env bash
# Builds vramtrack and runs every test that needs no GPU. Can be run again. Arguments go to pytest; `--gpu` runs the tests
# that need a GPU instead, `--sanitize` those that build with sanitizers, `--arm` those that need no PyTorch, built for
# aarch64 and run by qemu.
set -euo pipefail
if [ "${1:-}" = --arm ]; then
  shift
  exec "$(dirname "${BASH_SOURCE[0]}")/dev/arm.sh" "$@"
fi
source "$(dirname "${BASH_SOURCE[0]}")/dev/install.sh"

install_packages "${build_packages[@]}" "${test_packages[@]}"
requirements=("$root/test/requirements.txt")
[[ " $* " == *" --gpu "* ]] && requirements+=("$root/test/requirements-gpu.txt")
python_and_tree "$torch_requirement" "${requirements[@]}" -- -DVRAMTRACK_TESTS=ON -DVRAMTRACK_WERROR=ON

say "unit tests (ctest)"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" -L unit --no-tests=error
cd "$root"
say "unit tests of the agent (pytest)"
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider test/agent
say "end-to-end tests (pytest)"
VRAMTRACK_BUILD=$build PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q -rs -p no:cacheprovider -n "$(nproc)" test/e2e "$@"
say "all tests passed"
