#!/usr/bin/env bash
# build-wheel.sh [aarch64]: leaves dist/vramtrack-*.whl (one for every Python, glibc 2.28 or newer) and dist/vramtrack-*.tar.gz.
# Can be run again. For x86-64; with `aarch64` for that, by Debian's cross toolchain, and the sdist is left out.
# Compiled as any other build is, but linked against the libc of an older system, so that it runs there too. Needs Debian 12
# and its packages of the build (installed where they are missing), and PyPI for the build back end.
# VRAMTRACK_WHEEL_VENV names a Python environment that has packaging/wheel/requirements.txt already.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../dev/install.sh"

machine=${1:-x86_64}
work=$build/wheel
venv=${VRAMTRACK_WHEEL_VENV:-$work/venv}
dist=$root/dist
platform=manylinux_2_28_$machine
largest_bytes=10000000
install_packages "${build_packages[@]}" curl binutils
# What differs: Debian's name of the machine, the sums of what is fetched, the tools.
case $machine in
  x86_64)
    debian_machine=amd64
    libc_packages=(libc6:05f7264da867b37f4c5ce49266b558ea1e81e05a9464f623152fca70f3550282
      libc6-dev:e7f7b45d9c5cfcf37609f0b6efd3c645272c812144703af89dfd32218fcb0fd3)
    libunwind=1.6.2:4a6aec666991fb45d0889c44aede8ad6eb108071c3554fcdff671f9c94794976
    compiler=gcc
    cross=()
    configure=()
    ;;
  aarch64)
    debian_machine=arm64
    libc_packages=(libc6:baaa9aa184e2f21738c5819055e6740cc5b22f198e3f416e33f82b40ff6933d8
      libc6-dev:28d478134722dcd4b0bd2045a199301d18713bf95947b9fce66634e7aeacab2e)
    # Releases before 1.8 cannot follow return addresses that are signed.
    libunwind=1.8.1:ddf0e32dd5fafe5283198d37e4bf9decf7ba1770b6e7e006c33e6df79e6a6157
    compiler=aarch64-linux-gnu-gcc
    source "$root/dev/arm_sysroot.sh"
    make_arm_sysroot
    cross=("-Ccmake.define.CMAKE_TOOLCHAIN_FILE=$root/cmake/toolchains/aarch64-linux-gnu.cmake"
      "-Ccmake.define.CMAKE_SYSROOT=$sysroot")
    configure=(--host=aarch64-linux-gnu)
    export _PYTHON_HOST_PLATFORM=linux-aarch64 # the wheel's name is made of it
    work=$work/aarch64
    ;;
  *) die "usage: packaging/build-wheel.sh [aarch64]" ;;
esac
older=$work/sysroot # the C library that is linked against
mkdir -p "$work" "$dist"

# fetch FILE SHA256 URL...: the file into $work, from the first URL that has it.
fetch() {
  local file=$work/$1 sum=$2 url
  shift 2
  for url in "$@"; do
    [ -e "$file" ] && break
    curl -sSfL -m 300 -o "$file.part" "$url" && mv "$file.part" "$file"
  done
  echo "$sum  $file" | sha256sum --check --quiet || die "$file: not the expected file; remove it and start again"
}

install_python "$root/packaging/wheel/requirements.txt"

# The C library that the binaries are linked against: Debian 11's, glibc 2.31. What is taken from it is older still, which
# packaging/wheel/check.py makes sure of.
if [ ! -e "$older/complete" ]; then
  say "fetching the C library to link against"
  debian=https://deb.debian.org/debian/pool/main/g/glibc
  archive=https://snapshot.debian.org/archive/debian/20240901T000000Z/pool/main/g/glibc
  rm -rf "$older"
  for package in "${libc_packages[@]}"; do
    file=${package%:*}_2.31-13+deb11u11_$debian_machine.deb
    fetch "$file" "${package#*:}" "$debian/$file" "$archive/$file"
    dpkg-deb -x "$work/$file" "$older"
  done
  # Links to absolute paths would lead out of the folder.
  find "$older" -type l | while read -r link; do
    case $(readlink "$link") in /*) ln -sfn "$older$(readlink "$link")" "$link" ;; esac
  done
  touch "$older/complete"
fi
libraries=$older/usr/lib/$machine-linux-gnu
link="--sysroot=$older -B$libraries -L$libraries -L$older/lib/$machine-linux-gnu -Wl,--push-state,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,--pop-state"
source=$root/packaging/wheel/glibc_compat.c
compat=$work/compat-$(sha256sum "$source" | cut -c1-12) # a changed one links everything anew
mkdir -p "$compat"
$compiler -O2 -fPIC -c "$source" -o "$compat/c.o"
$compiler -O2 -fPIC -DFOR_CXX -c "$source" -o "$compat/cxx.o"

# libunwind, which the preloaded library opens from beside itself: without the parts that need more than libc, under a
# name of its own (a program that wants the system's must not be given this one), exporting what is called.
libunwind_sum=${libunwind#*:}
libunwind_version=${libunwind%:*}
libunwind=libunwind-$libunwind_version
if [ ! -e "$work/libunwind/complete" ]; then
  say "building $libunwind"
  fetch "$libunwind.tar.gz" "$libunwind_sum" \
    "https://deb.debian.org/debian/pool/main/libu/libunwind/libunwind_$libunwind_version.orig.tar.gz" \
    "https://github.com/libunwind/libunwind/releases/download/v$libunwind_version/$libunwind.tar.gz"
  rm -rf "${work:?}/$libunwind" "$work/libunwind"
  tar -C "$work" -xf "$work/$libunwind.tar.gz"
  mkdir -p "$work/libunwind"
  (
    set -e
    cd "$work/$libunwind"
    ./configure --quiet "${configure[@]}" CFLAGS="-O2 -fPIC -w" --disable-shared --with-pic --disable-minidebuginfo --disable-zlibdebuginfo \
      --disable-cxx-exceptions --disable-coredump --disable-ptrace --disable-setjmp --disable-tests --disable-documentation
    make -s -j"$(nproc)" -C src libunwind.la
    printf '{ global: unw_backtrace; local: *; };\n' >exports.map
    # shellcheck disable=SC2086
    $compiler -shared -s -Wl,-soname,libunwind-vramtrack.so.8 -Wl,--version-script=exports.map -Wl,--whole-archive \
      src/.libs/libunwind.a -Wl,--no-whole-archive $link -static-libgcc -o "$work/libunwind/libunwind-vramtrack.so.8"
  ) >"$work/libunwind.log" 2>&1 || { tail -20 "$work/libunwind.log" >&2; die "libunwind was not built (see $work/libunwind.log)"; }
  touch "$work/libunwind/complete"
fi

say "building the wheel (a few minutes the first time)"
rm -rf "$dist"/vramtrack-*"$machine".whl "$work/out"
sdist=()
[ "$machine" = x86_64 ] && sdist=(--sdist) && rm -f "$dist"/vramtrack-*.tar.gz
settings=(-Cbuild-dir="$work/cmake" "${cross[@]}" "-Ccmake.define.VRAMTRACK_LIBUNWIND=$work/libunwind/libunwind-vramtrack.so.8"
  "-Ccmake.define.VRAMTRACK_LINK_COMPAT=$compat"
  "-Ccmake.define.CMAKE_EXE_LINKER_FLAGS=$link" "-Ccmake.define.CMAKE_SHARED_LINKER_FLAGS=$link")
[ -n "${VRAMTRACK_CUDA_INCLUDE_DIR:-}" ] && settings+=("-Ccmake.define.VRAMTRACK_CUDA_INCLUDE_DIR=$VRAMTRACK_CUDA_INCLUDE_DIR")
if command -v ccache >/dev/null; then
  settings+=(-Ccmake.define.CMAKE_C_COMPILER_LAUNCHER=ccache -Ccmake.define.CMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
# shellcheck disable=SC2086
PATH=$venv/bin:$PATH "$venv/bin/python" -m build --no-isolation --wheel "${sdist[@]}" --outdir "$work/out" "${settings[@]}" \
  ${VRAMTRACK_WHEEL_SETTINGS:-} "$root" >"$work/build.log" 2>&1 ||
  { tail -30 "$work/build.log" >&2; die "the wheel was not built (see $work/build.log)"; }

PATH=$venv/bin:$PATH "$venv/bin/python" "$root/packaging/wheel/check.py" "$work/out"/*.whl "$platform" "$largest_bytes" "$dist" \
  >"$work/check.log" || die "the wheel is not fit (see $work/check.log)"
((!${#sdist[@]})) || mv "$work/out"/*.tar.gz "$dist/"
say "done: $(tail -1 "$work/check.log")"
