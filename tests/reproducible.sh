#!/bin/sh
# reproducible.sh - two builds, of two copies of the sources in two folders, are the same
# bytes: what somebody else built can be compared with what the sources say.
# usage: EDEN_SOURCE=... CC=... tests/reproducible.sh
set -u
source=${EDEN_SOURCE:?}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0 compared=0
generator=""
command -v ninja > /dev/null 2>&1 && generator="-G Ninja"

build() { # FOLDER NAME-OF-BUILD
    mkdir -p "$1"
    for part in CMakeLists.txt cmake include rules src lab cli mpi; do cp -r "$source/$part" "$1/"; done
    # Debugging information holds paths, and so is the hard part.
    cmake -S "$1" -B "$1/$2" $generator -DCMAKE_C_COMPILER="${CC:-cc}" -DEDEN_BUILD_TESTS=OFF \
        -DEDEN_BUILD_EXAMPLES=OFF -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-g1 > "$scratch/log" 2>&1 &&
        cmake --build "$1/$2" -j 2 >> "$scratch/log" 2>&1 || { tail -n 20 "$scratch/log"; exit 1; }
}
build "$scratch/one" build
build "$scratch/another/place" build
for file in libeden.so libeden-core.so libeden.a libeden-core.a libeden-mpi.so eden; do
    [ -f "$scratch/one/build/$file" ] || continue
    cmp "$scratch/one/build/$file" "$scratch/another/place/build/$file" || { echo "FAIL $file"; failed=1; }
    compared=$((compared + 1))
done
[ $compared -ge 4 ] || { echo "FAIL only $compared files were compared"; failed=1; }
# The comparison can fail: the folder's name would be in the objects but for the flag.
grep -q "$scratch" "$scratch/one/build/libeden.a" && { echo "FAIL libeden.a holds the folder's name"; failed=1; }
echo "$compared files, byte for byte"
exit $failed
