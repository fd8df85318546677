#!/usr/bin/env bash
# ./test.sh --arm [PYTEST ARGUMENT...]: builds for aarch64 with Debian's cross toolchain and runs the unit tests and the
# end-to-end tests of C, C++ and ctypes programs on the simulated GPU. qemu runs whatever is built, program by program; the
# tests themselves run on this machine. The arm64 packages lie unpacked in a folder: nothing of them is installed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"

source "$root/dev/arm_sysroot.sh"

# The tests whose programs need no PyTorch.
tests=(test_hooks.py test_hooks_bare.py test_hooks_inside.py test_hooks_ledger.py test_hooks_regressions.py
  test_hooks_unusual.py test_trace.py)

install_packages "${build_packages[@]}"
make_arm_sysroot
run_arm_programs
build=$build/arm
# Without link-time optimization: every object would be compiled twice, for speed that qemu does not show.
build_tree "${arm_options[@]}" -DVRAMTRACK_QEMU="$(command -v "$qemu")" -DVRAMTRACK_LTO=OFF -DVRAMTRACK_TESTS=ON -DVRAMTRACK_WERROR=ON

# What qemu does not do, and a test needs: give an address to the same library again; the older ones also not to another
# library, nor do they wipe memory at a fork (MADV_WIPEONFORK).
left_out="comes back to its place"
case $("$qemu" --version) in
  *"version "[1-7].*) left_out+="|takes another one's place|a forked child neither|the bare system call" ;;
esac
say "unit tests (ctest)"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" -L unit --no-tests=error -E "$left_out"
say "end-to-end tests (pytest)"
install_python "$root/test/requirements.txt"
cd "$root/test/e2e"
VRAMTRACK_BUILD=$build VRAMTRACK_TEST_PYTHON=$sysroot/usr/bin/python3 PYTHONDONTWRITEBYTECODE=1 \
  "$venv/bin/python" -m pytest -q -rs -p no:cacheprovider -n "$(nproc)" --dist loadfile "${tests[@]}" "$@"
say "all tests passed"
