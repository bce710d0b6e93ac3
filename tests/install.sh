#!/bin/sh
# install.sh - install into a scratch prefix, move it, and use it as strangers do:
# a CMake project in C and C++, pkg-config, and the command with its man page.
# usage: EDEN_SOURCE=... EDEN_BUILD=... EDEN_SANITIZE=ON|OFF CC=... tests/install.sh
set -u
source=${EDEN_SOURCE:?} build=${EDEN_BUILD:?} cc=${CC:-cc} cxx=${CXX:-c++}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAIL $*"; exit 1; }
quiet() { "$@" > "$scratch/log" 2>&1 || { cat "$scratch/log"; fail "$*"; }; }

quiet cmake --install "$build" --prefix "$scratch/first"
mv "$scratch/first" "$scratch/prefix" || exit 1
prefix=$scratch/prefix
lib=$(dirname "$(find "$prefix" -name 'libeden.so' | head -n 1)")
export LD_LIBRARY_PATH="$lib" PKG_CONFIG_PATH="$lib/pkgconfig"

for file in "$lib/libeden.so.0" "$lib/libeden.a" "$lib/libeden-core.so.0" "$lib/libeden-core.a" \
    "$prefix/include/eden/eden.h"; do
    [ -e "$file" ] || fail "not installed: $file"
done
readelf -d "$lib/libeden.so" | grep -q 'soname: \[libeden.so.0\]' || fail "libeden.so has no soname"
grep -rlF -e "$source" -e "$build" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h' &&
    fail "an installed file names a path of the build"

with_mpi=OFF
[ -e "$build/libeden-mpi.so" ] && with_mpi=ON
quiet cmake -S "$source/tests/consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DWITH_MPI=$with_mpi
quiet cmake --build "$scratch/consumer"
for kind in eden eden-static core core-static; do
    quiet "$scratch/consumer/consumer-$kind"
    [ $kind = eden ] && cat "$scratch/log"
done

# pkg-config, shared and static, with the examples as people would copy them.
flags=$(pkg-config --cflags --libs eden) || fail "pkg-config does not know eden"
quiet "$cc" -std=c11 -Wall -Werror "$source/examples/loop.c" -o "$scratch/loop" $flags
[ "$("$scratch/loop")" = "3.000 -1.000" ] || fail "examples/loop.c printed $("$scratch/loop")"
quiet "$cc" -std=c11 "$source/examples/loop.c" -o "$scratch/loop-static" \
    $(pkg-config --cflags eden) "$lib/libeden.a" \
    $(pkg-config --static --libs-only-other eden)
[ "$(env -u LD_LIBRARY_PATH "$scratch/loop-static")" = "3.000 -1.000" ] || fail "the static library"
quiet "$cc" -std=c11 "$source/examples/one_step.c" -o "$scratch/one_step" \
    $(pkg-config --cflags --libs eden-core)
quiet "$scratch/one_step"

if [ $with_mpi = ON ]; then
    # The library is of one MPI: that which CMake's package brings is the one it was built with.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    quiet "$scratch/consumer/consumer-mpi" # on one rank, which needs no mpiexec
    [ "$(cat "$scratch/log")" = "3.000 -1.000" ] || fail "the program over MPI printed $(cat "$scratch/log")"
    wrapper=mpicc
    for kind in openmpi mpich; do
        readelf -d "$lib/libeden-mpi.so" | grep -q "NEEDED.*libmpich" && kind=mpich
        command -v mpicc.$kind > /dev/null 2>&1 && wrapper=mpicc.$kind && break
    done
    quiet "$wrapper" -std=c11 "$source/tests/consumer/ranks.c" -o "$scratch/ranks" \
        $(pkg-config --cflags --libs eden-mpi) -lm
    quiet "$scratch/ranks"
    [ "$(cat "$scratch/log")" = "3.000 -1.000" ] || fail "through pkg-config it printed $(cat "$scratch/log")"
fi

if [ -x "$prefix/bin/eden" ]; then
    quiet "$prefix/bin/eden" --version
    (cd "$scratch" && quiet "$prefix/bin/eden" list)
    [ -s "$prefix/share/man/man1/eden.1" ] || fail "no man page"
    bash -n "$prefix/share/bash-completion/completions/eden" || fail "the completion is not bash"
fi
echo "installed, moved, found by CMake and pkg-config, used from C and C++"
