#!/usr/bin/env bash
# Makes a small library that stands in the place of a large one: it has the functions that the given files ask the large one
# for, under the same name and versions, and none of them does anything. For scripts/bundle.sh, which leaves out what a machine
# with GPUs that trains on tiles does not use. terrane says what is missing when it is wanted all the same.
#
# Usage: scripts/stand_in.sh LIBRARY OUTPUT_FOLDER USER...
#   LIBRARY  the large one, as the loader finds it;  USER  a program or library that needs it
set -euo pipefail
library=$1 folder=$2
shift 2
name=$(objdump -p "$library" | awk '$1 == "SONAME" {print $2}')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "SYMBOL" or "SYMBOL@VERSION" of all that is wanted and there.
nm -D --defined-only "$library" | awk '$2 ~ /[TWi]/ {sub(/@.*/, "", $3); print $3}' | sort -u > "$scratch/defined"
nm -D --undefined-only "$@" | awk 'NF == 2 {print $2}' | sort -u | while read -r symbol; do
  grep -qxF "${symbol%%@*}" "$scratch/defined" && echo "$symbol"
done > "$scratch/wanted" || true

body() {
  case $1 in
    CPLGetLastErrorMsg) echo 'const char* CPLGetLastErrorMsg(void) { return "this bundle was made without GDAL (scripts/bundle.sh --gdal)"; }' ;;
    GDALVersionInfo) echo 'const char* GDALVersionInfo(const char* request) { (void)request; return "none (bundle)"; }' ;;
    CPLGetLastErrorType) echo 'int CPLGetLastErrorType(void) { return 3; }' ;;
    CPLGetConfigOption) echo 'const char* CPLGetConfigOption(const char* key, const char* value) { (void)key; return value; }' ;;
    CPLMalloc) echo 'void* CPLMalloc(size_t bytes) { return malloc(bytes); }' ;;
    VSIFree) echo 'void VSIFree(void* memory) { free(memory); }' ;;
    # Version 0.0.0 is how terrane knows it (kernels/cpu/dnnl_primitives.cpp).
    dnnl_version) echo 'static const struct { int numbers[3]; const char* hash; unsigned runtimes[2]; } none = {{0, 0, 0}, "none", {0, 0}};
const void* dnnl_version(void) { return &none; }' ;;
    dnnl_*) echo "int $1(void) { return 3; }" ;;  # dnnl_unimplemented
    curl_easy_init) echo 'void* curl_easy_init(void) { return 0; }' ;;
    curl_*) echo "int $1(void) { return 2; }" ;;  # CURLE_FAILED_INIT
    *) echo "void* $1(void) { return 0; }" ;;
  esac
}

{
  echo '#include <stdlib.h>'
  sed 's/@.*//' "$scratch/wanted" | sort -u | while read -r symbol; do body "$symbol"; done
} > "$scratch/code.c"
# What was linked against versioned symbols asks for them by version.
options=()
versions=$(sed -n 's/.*@//p' "$scratch/wanted" | sort -u)
if [ -n "$versions" ]; then
  for version in $versions; do
    echo "$version { global: $(sed -n "s/@*@$version\$/;/p" "$scratch/wanted" | tr '\n' ' ') };"
  done > "$scratch/versions"
  options=("-Wl,--version-script=$scratch/versions")
fi
gcc -shared -fPIC -O1 -s -Wl,-soname,"$name" "${options[@]}" -o "$folder/$name" "$scratch/code.c"
