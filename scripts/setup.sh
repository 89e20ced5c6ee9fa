#!/usr/bin/env bash
# Installs what building and testing needs on Debian 12 or Ubuntu 24.04, if it is missing.
# Usage: scripts/setup.sh          installs missing packages (needs root or sudo)
#        scripts/setup.sh --check  only says which are missing; exit code 1 if any
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libopenmpi-dev openmpi-bin
  libgdal-dev gdal-bin libhdf5-dev libdnnl-dev
  libboost-program-options-dev libfmt-dev libspdlog-dev libtomlplusplus-dev nlohmann-json3-dev
  libssl-dev libhwloc-dev libisal-dev
  catch2
  python3-torch python3-numpy  # the parity tests compare with PyTorch; the program itself needs no Python
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all packages are installed"
  exit 0
fi
echo "setup: missing: ${missing[*]}"
if [ "${1:-}" = --check ]; then exit 1; fi

if ! command -v apt-get >/dev/null; then
  echo "setup: this script knows apt only; install the equivalents of these packages by hand" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # Never wait for a password where nobody can type one.
  if [ -t 0 ] && command -v sudo >/dev/null; then
    as_root=(sudo)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "setup: installing packages needs root. Run as root, or ask your administrator for:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
