#!/usr/bin/env bash
# Installs what building and testing needs on Debian 12 or Ubuntu 24.04, if it is missing.
# Usage: scripts/setup.sh          installs missing packages (needs root or sudo)
#        scripts/setup.sh --check  only says which are missing; exit code 1 if any
# It also prepares build/python, a virtual environment with what some tests compare with (timm, safetensors, onnx,
# onnxruntime, tensorboard). Where the Python index can't be reached those tests are skipped; the program needs none of it.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libopenmpi-dev openmpi-bin libgloo-dev
  libgdal-dev gdal-bin libhdf5-dev
  libdnnl-dev ocl-icd-opencl-dev  # the configuration of Debian's oneDNN looks for OpenCL, though nothing uses it
  libboost-program-options-dev libfmt-dev libspdlog-dev libtomlplusplus-dev nlohmann-json3-dev
  libssl-dev libhwloc-dev libisal-dev libzip-dev
  catch2
  protobuf-compiler libprotobuf-dev
  slurmctld slurmd slurm-client  # a cluster of two nodes on this machine, for the tests of slurm/
  patchelf xz-utils  # scripts/bundle.sh
  faketime strace iproute2 e2fsprogs procps  # the tests of clock jumps, of the order of saves, of links and disks that fail
  python3-matplotlib  # bench/scaling.sh draws with it
  python3-numpy python3-yaml python3-typing-extensions python3-venv  # tests only; the program itself needs no Python
)
# The parity tests compare with PyTorch, which Ubuntu does not package: they are skipped there.
wanted=(python3-torch python3-torchvision)

known() {
  [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]
}
installed() {
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

python_folder="$(cd "$(dirname "$0")/.." && pwd)/build/python"
# The last one holds the C++ headers of cuDNN's frontend, for builds with CUDA.
# Versions that work with Debian 12's PyTorch 1.13 and numpy 1.24; no dependencies, or pip would bring its own PyTorch.
python_packages=(timm==1.0.12 safetensors==0.5.3 onnx==1.17.0 onnxruntime==1.20.1 protobuf==5.29.3 flatbuffers==25.2.10
  tensorboard==2.19.0 absl-py==2.1.0 packaging==24.2 nvidia-cudnn-frontend==1.32.0)
prepare_python() {
  if [ "$(cat "$python_folder/prepared" 2>/dev/null)" != "${python_packages[*]}" ]; then
    rm -rf "$python_folder"
    if ! /usr/bin/python3 -m venv --system-site-packages "$python_folder" ||
      ! "$python_folder/bin/pip" install -q --disable-pip-version-check --no-deps "${python_packages[@]}"; then
      echo "setup: build/python could not be prepared (no Python index?): tests that need timm, onnx or tensorboard are skipped" >&2
      return 0
    fi
    echo "${python_packages[*]}" > "$python_folder/prepared"
  fi
  echo "setup: build/python is prepared"
}

no_such_package() {
  echo "setup: this system has no package $1: tests that compare with it are skipped" >&2
}
for package in "${wanted[@]}"; do
  installed "$package" && continue
  # On a fresh machine the package lists are empty: only after an update is it known what they hold.
  if known "$package" || ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
    missing+=("$package")
  else
    no_such_package "$package"
  fi
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all packages are installed"
  if [ "${1:-}" != --check ]; then prepare_python; fi
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
to_install=()
for package in "${missing[@]}"; do
  if [[ " ${wanted[*]} " == *" $package "* ]] && ! known "$package"; then
    no_such_package "$package"
  else
    to_install+=("$package")
  fi
done
if [ ${#to_install[@]} -gt 0 ]; then
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${to_install[@]}"
fi
prepare_python
