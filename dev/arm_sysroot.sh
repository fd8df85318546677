# Sourced after install.sh, by what builds for aarch64 on another machine: the arm64 packages of the build, unpacked into a
# folder (nothing of them is installed), and qemu, which runs the programs.

sysroot=${VRAMTRACK_ARM_SYSROOT:-$build/arm/sysroot}
# Statically linked. One from 8.1 on is many times faster here: older ones keep a book of every reserved page.
qemu=${VRAMTRACK_QEMU:-qemu-aarch64-static}
arm_packages=(libc6-dev libstdc++-12-dev linux-libc-dev libunwind8 libdw-dev libelf-dev zlib1g-dev libbz2-dev liblzma-dev
  libzstd-dev libutf8proc-dev libspdlog-dev nlohmann-json3-dev libcli11-dev catch2 bash coreutils libc-bin python3
  python3-venv)
arm_options=(--toolchain "$root/cmake/toolchains/aarch64-linux-gnu.cmake" -DCMAKE_SYSROOT="$sysroot")

make_arm_sysroot() {
  local suite include
  install_packages g++-aarch64-linux-gnu qemu-user-static mmdebstrap
  [ ! -e "$sysroot/complete" ] || return 0
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  include=$(IFS=,; echo "${arm_packages[*]}")
  say "unpacking the arm64 packages of $suite (about 220 MB)"
  rm -rf "$sysroot"
  mkdir -p "$build/arm"
  mmdebstrap --quiet --variant=extract --architectures=arm64 --include="$include" "$suite" "$sysroot" \
    >"$build/arm/sysroot.log" 2>&1 || die "mmdebstrap failed (see $build/arm/sysroot.log)"
  touch "$sysroot/complete"
}

# run_arm_programs: from here on the kernel starts them as it starts its own, which the launcher needs.
run_arm_programs() {
  local binfmt=/proc/sys/fs/binfmt_misc header mask other
  export QEMU_LD_PREFIX=$sysroot
  other=$(sed -n 's/^interpreter //p' $binfmt/qemu-aarch64 2>/dev/null || true)
  [ -z "$other" ] || [ "$(realpath "$other")" = "$(realpath "$(command -v "$qemu")")" ] ||
    die "the kernel runs programs of aarch64 by $other, not by $qemu; to change that: echo -1 >$binfmt/qemu-aarch64"
  ! "$sysroot/bin/true" 2>/dev/null || return 0
  say "telling the kernel that qemu runs programs of aarch64 (binfmt_misc)"
  [ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt || die "binfmt_misc cannot be mounted: this needs root"
  header='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":qemu-aarch64:M::$header:$mask:$(command -v "$qemu"):PF" >$binfmt/register ||
    die "binfmt_misc takes no entry: this needs root"
  "$sysroot/bin/true" || die "programs of aarch64 cannot be run here"
}
