#!/usr/bin/env bash
# Makes a folder, and a .tar.xz of it, that runs terrane on an x86-64 Linux with GPUs, and without GDAL, HDF5, Boost or MPI: the
# program, its libraries, Open MPI's run time, bench/gpu.sh and a small tile store, in less than 60 MiB. The machine must bring
# the driver, CUDA 13, cuDNN 9 and NCCL, in the loader's path or in $LD_LIBRARY_PATH. Works for a build without CUDA, too.
#
# Usage: scripts/bundle.sh BUILD_FOLDER OUTPUT_FOLDER [--cpu] [--gdal] [--tests] [--limit MIB] [--no-archive]
#   --cpu         takes oneDNN along, 38 MiB; without, only GPUs (and --device ref) compute
#   --gdal        takes GDAL along, 140 MiB with what it needs; without, rasters can't be opened: the bundle trains on tiles
#   --tests       takes along the tests of the GPU, which bench/gpu.sh runs
#   --limit MIB   fails where the folder, without what the three options above add, is larger (60)
#   --no-archive  only the folder
# Needs patchelf, a C compiler, and the programs built: terrane and, with --tests, those labelled gpu.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 2 ] || { sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
build=$(cd "$1" && pwd)
out=$(realpath -m "$2")
shift 2
with_cpu=no with_gdal=no with_tests=no archive=yes limit=60
while [ $# -gt 0 ]; do
  case $1 in
    --cpu) with_cpu=yes ;;
    --gdal) with_gdal=yes ;;
    --tests) with_tests=yes ;;
    --limit) limit=${2:-}; shift || true
             [[ $limit =~ ^[0-9]+$ ]] || { echo "bundle: --limit takes a number of MiB" >&2; exit 2; } ;;
    --no-archive) archive=no ;;
    *) echo "bundle: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
for tool in patchelf gcc objdump nm tar xz; do
  command -v $tool >/dev/null || { echo "bundle: $tool is missing" >&2; exit 1; }
done
[ -x "$build/terrane" ] || { echo "bundle: there is no $build/terrane; build it first" >&2; exit 1; }
if [ -e "$out" ] && [ ! -e "$out/terrane-bundle" ]; then
  echo "bundle: $out exists and is no bundle; name another folder" >&2
  exit 1
fi
rm -rf "$out"
mkdir -p "$out"/{bin,lib,libexec,etc,share}
touch "$out/terrane-bundle"

# What the machine itself brings: the C library, and what NVIDIA's installations hold.
is_of_the_machine() {
  case "$1" in
    ld-linux*|libc.so.*|libm.so.*|libdl.so.*|libpthread.so.*|librt.so.*|libutil.so.*|libresolv.so.*|libnss_*) return 0 ;;
    libcuda.so.*|libcudart*|libcublas*|libcudnn*|libnvrtc*|libnvJitLink*|libnccl*|libnvidia-*) return 0 ;;
    *) return 1 ;;
  esac
}

# Libraries in whose place something stands that does nothing (scripts/stand_in.sh); what they need is left out, too.
left_out=" "

# "NAME PATH" of every library that is loaded with a file, but for what is left out.
needed_by() {
  local listed queue=("$1") seen=" " file name path
  listed=$(ldd "$1" | awk '$2 == "=>" {print $1, $3}')
  while [ ${#queue[@]} -gt 0 ]; do
    file=${queue[0]}; queue=("${queue[@]:1}")
    for name in $(objdump -p "$file" | awk '$1 == "NEEDED" {print $2}'); do
      case "$seen" in *" $name "*) continue ;; esac
      seen+="$name "
      is_of_the_machine "$name" && continue
      case "$left_out" in *" $name "*) continue ;; esac
      path=$(awk -v name="$name" '$1 == name {print $2; exit}' <<< "$listed")
      echo "$name ${path:-not}"
      [ "${path:-not}" = not ] || queue+=("$path")
    done
  done
}

# Copies what a program or a library needs, and what that needs, to lib/.
take_libraries_of() {
  local name path
  while read -r name path; do
    [ "$path" = not ] && { echo "bundle: $1 needs $name, which is not here" >&2; exit 1; }
    [ -e "$out/lib/$name" ] || install -m 755 "$path" "$out/lib/$name"
  done < <(needed_by "$1")
}

# Copies a program and what it needs; `place` is below the bundle.
take_program() {
  local program=$1 place=$2
  install -D -m 755 "$program" "$out/$place"
  strip "$out/$place"
  take_libraries_of "$program"
}

# Leaves out the library of that name, whose users are the programs or, if it is named, another library.
# awk reads to the end: a pipe that is closed early would count as a failure.
leave_out() {
  local name path user
  read -r name path < <(ldd "$build/terrane" | awk -v part="$1" 'index($1, part) == 1 && $3 ~ /^\// && !n++ {print $1, $3}') || true
  [ -n "${name:-}" ] || return 0
  left_out+="$name "
  user=${2:+$(ldd "$build/terrane" | awk -v part="$2" 'index($1, part) == 1 && !n++ {print $3}')}
  if [ -n "$user" ]; then set -- "$user"; else set -- "${programs[@]}"; fi
  "$top/scripts/stand_in.sh" "$path" "$out/lib" "$@"
}

# Puts the real library, and what it needs, in the stand-in's place.
take_after_all() {
  local name path
  read -r name path < <(ldd "$build/terrane" | awk -v part="$1" 'index($1, part) == 1 && $3 ~ /^\// && !n++ {print $1, $3}') || true
  [ -n "${name:-}" ] || return 0
  left_out=${left_out/ $name / }
  rm -f "$out/lib/$name"
  take_libraries_of "$build/terrane"
}

programs=("$build/terrane")
tests=()
if [ "$with_tests" = yes ]; then
  while read -r test; do tests+=("$test"); done < <(
    ctest --test-dir "$build" -L gpu -N --show-only=json-v1 2>/dev/null |
      python3 -c 'import json, sys
for test in json.load(sys.stdin).get("tests", []):
    command = test.get("command", [])
    if len(command) == 1: print(command[0])' | sort -u)
  for test in "${tests[@]}"; do
    [ -x "$test" ] || { echo "bundle: the test $test is not built" >&2; exit 1; }
  done
  programs+=("${tests[@]}")
fi
leave_out libgdal
leave_out libdnnl
# HDF5 uses it for files in object stores, which a tile store never is; it would bring TLS, LDAP and Kerberos.
leave_out libcurl.so libhdf5
take_program "$build/terrane" libexec/terrane
cat > "$out/bin/terrane" <<'EOF'
#!/bin/sh
top=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$top/etc/environment.sh"
exec "$top/libexec/terrane" "$@"
EOF
chmod 755 "$out/bin/terrane"
# For a rank that srun starts as for one of mpirun: Open MPI and PMIx look for their components where they were built, and
# hwloc would load the plugins of the machine's own hwloc, and those their libraries.
cat > "$out/etc/environment.sh" <<'EOF'
export OPAL_PREFIX="$top" OPAL_BINDIR="$top/libexec" OPAL_LIBDIR="$top/lib" OPAL_PKGLIBDIR="$top/lib/openmpi" \
  OPAL_PKGDATADIR="$top/share/openmpi" OPAL_SYSCONFDIR="$top/etc" \
  OMPI_MCA_mca_base_component_path="$top/lib/openmpi" PMIX_MCA_mca_base_component_path="$top/lib/pmix" \
  PMIX_INSTALL_PREFIX="$top" PMIX_PKGLIBDIR="$top/lib/pmix" HWLOC_PLUGINS_PATH="$top/lib/hwloc"
EOF

# Open MPI: what starts ranks on one machine or over TCP. Components for special networks would bring their drivers.
components=$(ompi_info --path pkglibdir --parsable | sed 's/^path:pkglibdir://')
mkdir -p "$out/lib/openmpi" "$out/lib/pmix" "$out/lib/hwloc" "$out/share/openmpi" "$out/share/pmix"
for component in "$components"/*.so; do
  case $(basename "$component") in
    *_ofi.so|*_ucx.so|*_openib.so|*_psm*.so|*_usnic.so|*monitoring*|mca_atomic*|mca_memheap*|mca_scoll*|mca_spml*|mca_sshmem*|mca_io_romio*) continue ;;
  esac
  install -m 644 "$component" "$out/lib/openmpi/"
  take_libraries_of "$component"
done
cp -r "$(ompi_info --path pkgdatadir --parsable | sed 's/^path:pkgdatadir://')"/help*.txt "$out/share/openmpi/"
pmix=$(dirname "$(realpath "$(ldd "$components/mca_pmix_ext3x.so" 2>/dev/null | awk '$1 ~ /^libpmix/ {print $3}')" 2>/dev/null || echo /nowhere/none)")
for component in "$pmix"/pmix/*.so "$pmix"/../lib/pmix/*.so; do
  [ -e "$component" ] || continue
  install -m 644 "$component" "$out/lib/pmix/"
  take_libraries_of "$component"
done
for tool in orterun orted; do
  install -m 755 "$(command -v $tool)" "$out/libexec/$tool"
  take_libraries_of "$out/libexec/$tool"
done
cat > "$out/bin/mpirun" <<'EOF'
#!/bin/sh
# Open MPI's mpirun with everything found in this folder.
top=$(dirname "$(dirname "$(readlink -f "$0")")")
. "$top/etc/environment.sh"
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
exec "$top/libexec/orterun" "$@"
EOF
chmod 755 "$out/bin/mpirun"
touch "$out/etc/openmpi-mca-params.conf"

# A small scene, built to tiles, and what measures a GPU.
scratch=$(mktemp -d)
"$build/terrane" data synth -q -o "$scratch/scene" --size 640 --seed 7 >/dev/null
"$build/terrane" data build -q -c "$scratch/scene/scene.toml" -o "$out/share/tiles" >/dev/null
cp "$scratch/scene/scene.toml" "$out/share/scene.toml"
rm -rf "$scratch"
mkdir -p "$out/bench"
cp -r "$top/bench/gpu.sh" "$top/bench/gpu.py" "$top/bench/pytorch_step.py" "$top/bench/twins" "$out/bench/"
mkdir "$out/bench/kernel_times"
cp "$top/bench/kernel_times/table.py" "$out/bench/kernel_times/"
[ ! -e "$build/bench/libkernel_times.so" ] || cp "$build/bench/libkernel_times.so" "$out/bench/kernel_times/"
find "$out/bench" -name __pycache__ -prune -exec rm -rf {} +

# Everything finds its libraries beside itself, plugins included: the old RPATH counts for what a program loads, too.
find_libraries_beside() {
  local file up
  for file in "$out"/bin/tests/* "$out"/libexec/*; do
    [ -f "$file" ] || continue
    case $file in */tests/*) up=../.. ;; *) up=.. ;; esac
    patchelf --force-rpath --set-rpath "\$ORIGIN/$up/lib" "$file"
  done
  for file in "$out"/lib/*.so* ; do patchelf --force-rpath --set-rpath '$ORIGIN' "$file"; done
  for file in "$out"/lib/openmpi/*.so "$out"/lib/pmix/*.so; do
    [ -e "$file" ] || continue
    patchelf --force-rpath --set-rpath '$ORIGIN/..' "$file"
  done
}
size_in_kib() { du -sk --apparent-size "$out" | cut -f1; }

find_libraries_beside
base=$(size_in_kib)
if [ "$base" -gt $((limit * 1024)) ]; then
  echo "bundle: $out takes $((base / 1024)) MiB, and $limit are allowed (--limit). The largest files:" >&2
  find "$out" -type f -printf '%s %P\n' | sort -rn | awk 'NR <= 8 {printf "  %6.1f MiB  %s\n", $1 / 1048576, $2}' >&2
  echo "bundle: a build for one kind of GPU (-DCMAKE_CUDA_ARCHITECTURES=90), or with nvcc 12.8 or newer, is smaller" >&2
  exit 1
fi
[ "$with_cpu" = no ] || take_after_all libdnnl
if [ "$with_gdal" = yes ]; then
  take_after_all libcurl.so
  take_after_all libgdal
fi
for test in "${tests[@]}"; do take_program "$test" "bin/tests/$(basename "$test")"; done
find_libraries_beside

echo "bundle: needs a C library of at least $(
  { objdump -T "$out/libexec/terrane" "$out"/lib/*.so*; } 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -1)"
echo "bundle: $out, $(($(size_in_kib) / 1024)) MiB$([ "$(size_in_kib)" = "$base" ] || echo ", $((base / 1024)) of them without what the options add")"
[ "$archive" = no ] && exit 0
tar -C "$(dirname "$out")" -c "$(basename "$out")" | xz -4 -T 2 > "$out.tar.xz.part"
mv "$out.tar.xz.part" "$out.tar.xz"
echo "bundle: $out.tar.xz, $(du -m --apparent-size "$out.tar.xz" | cut -f1) MiB"
