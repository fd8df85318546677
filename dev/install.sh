# Sourced by demo.sh and test.sh: installs what is missing, says what it does, and builds. Bash; no side effects on
# sourcing beyond the functions.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${VRAMTRACK_BUILD:-$root/build}
venv=${VRAMTRACK_VENV:-$build/venv}
torch_requirement="torch==2.11.0"

started=$(date +%s)
say() { printf '[%3ds] %s\n' "$(($(date +%s) - started))" "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Debian packages: what the build needs, and what the tests need on top. Minimum versions are Debian 12's.
build_packages=(g++ cmake ninja-build pkg-config python3 python3-venv python3-pip libunwind8 libdw-dev libelf-dev
  zlib1g-dev libbz2-dev liblzma-dev libzstd-dev nlohmann-json3-dev libcli11-dev libspdlog-dev libutf8proc-dev)
test_packages=(catch2 chromium elfutils strace binutils tmux clang libclang-rt-dev musl-tools)
command -v go >/dev/null || test_packages+=(golang-go) # reads the pprof export

missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s\n' "$package"
  done
}

# install_packages NAME...: the Debian packages that are not there yet.
install_packages() {
  local missing
  command -v dpkg-query >/dev/null || die "this needs a Debian-like system, or these packages by hand: $*"
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  local sudo=()
  if (($(id -u))); then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || die "not root: run  apt-get install ${missing[*]}  and start again"
    sudo=(sudo -n)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get -qq update || die "apt-get update failed: install by hand: ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" >"$build/apt.log" 2>&1 ||
    die "apt-get install failed (see $build/apt.log); install by hand: ${missing[*]}"
}

# install_python REQUIREMENT...: a virtual environment that has these (made when it is missing).
install_python() {
  if [ ! -x "$venv/bin/python" ]; then
    say "making a Python environment in $venv"
    python3 -m venv "$venv" || die "python3 -m venv failed: apt-get install python3-venv"
  fi
  if ! "$venv/bin/python" - "$@" <<'PY'; then
import importlib.metadata as metadata, pathlib, sys
wanted = []
for argument in sys.argv[1:]:
    path = pathlib.Path(argument)
    wanted += path.read_text().split("\n") if path.suffix == ".txt" else [argument]
for line in wanted:
    name, _, version = line.split("#")[0].strip().partition("==")
    try:
        if name and metadata.version(name) != version:
            sys.exit(1)
    except metadata.PackageNotFoundError:
        sys.exit(1)
PY
    local arguments=() one
    for one in "$@"; do
      case $one in *.txt) arguments+=(-r "$one") ;; *) arguments+=("$one") ;; esac
    done
    say "installing Python packages: $* (PyTorch is about 3 GB the first time)"
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "${arguments[@]}" 2>&1 |
      sed -un "/^\(Collecting\|Installing\|Successfully\|ERROR\)/ s/^\(.\{1,110\}\).*/\1/p" ||
      die "pip install failed: is PyPI reachable? VRAMTRACK_VENV=DIR names an environment that has PyTorch"
  fi
}

# python_and_tree REQUIREMENT... -- CMAKE_OPTION...: install_python and build_tree, one while the other waits for the network.
python_and_tree() {
  local requirements=()
  while [ "$1" != -- ]; do
    requirements+=("$1")
    shift
  done
  install_python "${requirements[@]}" &
  local python=$!
  trap 'kill "$python" 2>/dev/null || true' EXIT
  build_tree "${@:2}"
  wait "$python" || exit 1
  trap - EXIT
}

# build_tree CMAKE_OPTION...: configures and builds into $build.
build_tree() {
  say "configuring in $build"
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DVRAMTRACK_TOGETHER=ON "$@" >"$build/configure.log" 2>&1 ||
    { tail -20 "$build/configure.log" >&2; die "cmake failed (see $build/configure.log)"; }
  say "building (a few minutes the first time)"
  cmake --build "$build" || die "the build failed"
}

mkdir -p "$build"
