#!/usr/bin/env bash
# Makes a folder, and a .tar.xz of it, that runs terrane on an x86-64 Linux without GDAL, HDF5, Boost or MPI: the
# program, the tests of the GPU, their libraries, Open MPI's run time, bench/gpu.sh and a small tile store. With a build
# that has CUDA the machine must bring the driver, CUDA 13, cuDNN 9 and NCCL, in the loader's path or in
# $LD_LIBRARY_PATH.
#
# Usage: scripts/bundle.sh BUILD_FOLDER OUTPUT_FOLDER [--gdal] [--no-archive]
#   --gdal        takes GDAL along, 140 MB with what it needs; without, rasters can't be opened: the bundle trains on tiles
#   --no-archive  only the folder
# A build for one kind of GPU (-DCMAKE_CUDA_ARCHITECTURES=90) makes a smaller bundle.
# Needs patchelf, a C compiler, and the programs built: terrane and, where there is CUDA, the tests labelled gpu.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 2 ] || { sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
build=$(cd "$1" && pwd)
out=$(realpath -m "$2")
with_gdal=no
archive=yes
for option in "${@:3}"; do
  case $option in
    --gdal) with_gdal=yes ;;
    --no-archive) archive=no ;;
    *) echo "bundle: unknown option $option" >&2; exit 2 ;;
  esac
done
for tool in patchelf gcc objdump tar xz; do
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

# Copies what a program or a library needs, and what that needs, to lib/.
take_libraries_of() {
  local name path
  while read -r name path; do
    is_of_the_machine "$name" && continue
    [ "$with_gdal" = no ] && [ "$name" = "${gdal_name:-}" ] && continue
    [ "$path" = not ] && { echo "bundle: $1 needs $name, which is not here" >&2; exit 1; }
    [ -e "$out/lib/$name" ] || install -m 755 "$path" "$out/lib/$name"
  done < <(needed_by "$1")
}

# "NAME PATH" of every library that is loaded with a file. Without GDAL its own libraries don't count.
needed_by() {
  local listed queue=("$1") seen=" " file name path
  listed=$(ldd "$1" | awk '$2 == "=>" {print $1, $3}')
  if [ "$with_gdal" = yes ]; then
    echo "$listed"
    return
  fi
  while [ ${#queue[@]} -gt 0 ]; do
    file=${queue[0]}; queue=("${queue[@]:1}")
    for name in $(objdump -p "$file" | awk '$1 == "NEEDED" {print $2}'); do
      case "$seen" in *" $name "*) continue ;; esac
      seen+="$name "
      path=$(awk -v name="$name" '$1 == name {print $2; exit}' <<< "$listed")
      is_of_the_machine "$name" && continue
      [ "$name" = "${gdal_name:-}" ] && continue
      echo "$name ${path:-not}"
      queue+=("$path")
    done
  done
}

programs=("$build/terrane")
while read -r test; do programs+=("$test"); done < <(
  ctest --test-dir "$build" -L gpu -N --show-only=json-v1 2>/dev/null |
    python3 -c 'import json, sys
for test in json.load(sys.stdin).get("tests", []):
    command = test.get("command", [])
    if len(command) == 1: print(command[0])' | sort -u)

gdal_name=$(objdump -p "$build/terrane" | awk '$1 == "NEEDED" && $2 ~ /^libgdal/ {print $2}')
if [ "$with_gdal" = no ] && [ -n "$gdal_name" ]; then
  # In GDAL's place stands a library whose functions open nothing.
  gdal_path=$(ldd "$build/terrane" | awk -v name="$gdal_name" '$1 == name {print $3}')
  stand_in=$(mktemp -d)
  {
    echo '#include <stdlib.h>'
    comm -12 <(nm -D --undefined-only "${programs[@]}" | awk 'NF == 2 {sub(/@.*/, "", $2); print $2}' | sort -u) \
             <(nm -D --defined-only "$gdal_path" | awk '{sub(/@.*/, "", $3); print $3}' | sort -u) |
      while read -r symbol; do
        case $symbol in
          CPLGetLastErrorMsg) echo 'const char* CPLGetLastErrorMsg(void) { return "this bundle was made without GDAL (scripts/bundle.sh --gdal)"; }' ;;
          GDALVersionInfo) echo 'const char* GDALVersionInfo(const char* request) { (void)request; return "none (bundle)"; }' ;;
          CPLGetLastErrorType) echo 'int CPLGetLastErrorType(void) { return 3; }' ;;
          CPLGetConfigOption) echo 'const char* CPLGetConfigOption(const char* key, const char* value) { (void)key; return value; }' ;;
          CPLMalloc) echo 'void* CPLMalloc(size_t bytes) { return malloc(bytes); }' ;;
          VSIFree) echo 'void VSIFree(void* memory) { free(memory); }' ;;
          *) echo "void* $symbol(void) { return 0; }" ;;
        esac
      done
  } > "$stand_in/gdal.c"
  gcc -shared -fPIC -O1 -Wl,-soname,"$gdal_name" -o "$out/lib/$gdal_name" "$stand_in/gdal.c"
  rm -rf "$stand_in"
fi

mkdir -p "$out/bin/tests"
for program in "${programs[@]}"; do
  case $program in */terrane) place="$out/bin/terrane" ;; *) place="$out/bin/tests/$(basename "$program")" ;; esac
  install -m 755 "$program" "$place"
  strip "$place"
  take_libraries_of "$program"
done

# Open MPI: what starts ranks on one machine or over TCP. Components for special networks would bring their drivers.
components=$(ompi_info --path pkglibdir --parsable | sed 's/^path:pkglibdir://')
mkdir -p "$out/lib/openmpi" "$out/lib/pmix" "$out/lib/hwloc" "$out/share/openmpi" "$out/share/pmix"
for component in "$components"/*.so; do
  case $(basename "$component") in
    *_ofi.so|*_ucx.so|*_openib.so|*_psm*.so|*_usnic.so|*monitoring*|mca_memheap*|mca_scoll*|mca_spml*|mca_sshmem*|mca_io_romio*) continue ;;
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
top=$(cd "$(dirname "$0")/.." && pwd)
export OPAL_PREFIX="$top" OPAL_BINDIR="$top/libexec" OPAL_LIBDIR="$top/lib" OPAL_PKGLIBDIR="$top/lib/openmpi" \
  OPAL_PKGDATADIR="$top/share/openmpi" OPAL_SYSCONFDIR="$top/etc" \
  OMPI_MCA_mca_base_component_path="$top/lib/openmpi" PMIX_MCA_mca_base_component_path="$top/lib/pmix" \
  PMIX_INSTALL_PREFIX="$top" PMIX_PKGLIBDIR="$top/lib/pmix" HWLOC_PLUGINS_PATH="$top/lib/hwloc"
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
exec "$top/libexec/orterun" "$@"
EOF
chmod 755 "$out/bin/mpirun"
touch "$out/etc/openmpi-mca-params.conf"

# Everything finds its libraries beside itself, plugins included: the old RPATH counts for what a program loads, too.
for file in "$out"/bin/terrane "$out"/bin/tests/* "$out"/libexec/*; do
  [ -f "$file" ] || continue
  case $file in */tests/*) up=../.. ;; *) up=.. ;; esac
  patchelf --force-rpath --set-rpath "\$ORIGIN/$up/lib" "$file"
done
for file in "$out"/lib/*.so* ; do patchelf --force-rpath --set-rpath '$ORIGIN' "$file"; done
for file in "$out"/lib/openmpi/*.so "$out"/lib/pmix/*.so; do
  [ -e "$file" ] || continue
  patchelf --force-rpath --set-rpath '$ORIGIN/..' "$file"
done

# A small scene, built to tiles, and what measures a GPU.
scratch=$(mktemp -d)
"$build/terrane" data synth -q -o "$scratch/scene" --size 1024 --seed 7 >/dev/null
"$build/terrane" data build -q -c "$scratch/scene/scene.toml" -o "$out/share/tiles" >/dev/null
cp "$scratch/scene/scene.toml" "$out/share/scene.toml"
rm -rf "$scratch"
mkdir -p "$out/bench"
cp -r "$top/bench/gpu.sh" "$top/bench/gpu.py" "$top/bench/pytorch_step.py" "$top/bench/twins" "$out/bench/"
find "$out/bench" -name __pycache__ -prune -exec rm -rf {} +

echo "bundle: needs a C library of at least $(
  { objdump -T "$out/bin/terrane" "$out"/lib/*.so*; } 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -1)"
echo "bundle: $out, $(du -sm --apparent-size "$out" | cut -f1) MiB"
[ "$archive" = no ] && exit 0
tar -C "$(dirname "$out")" -c "$(basename "$out")" | xz -4 -T 2 > "$out.tar.xz.part"
mv "$out.tar.xz.part" "$out.tar.xz"
echo "bundle: $out.tar.xz, $(du -m --apparent-size "$out.tar.xz" | cut -f1) MiB"
