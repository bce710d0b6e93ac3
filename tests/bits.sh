#!/bin/sh
# bits.sh - one digest from every compiler, optimization level and processor.
#
# Builds the library, tests/test_bits.c and tests/test_bits_storage.c for each cell of
# the matrix and compares what they print. A cell itself compares the instruction sets
# of the machine and the numbers of threads. Cells whose tools are missing are named
# and skipped; at least two must have run.
set -u
source=${EDEN_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
jobs=$(nproc 2> /dev/null || echo 2)
generator=""
command -v ninja > /dev/null 2>&1 && generator="-G Ninja"
unset CFLAGS LDFLAGS EDEN_ISA
ran=0 skipped=0 failed=0 first=""

programs="test_bits test_bits_storage"

# build COMPILER LEVEL LINK-FLAG CMAKE-ARGUMENT...: leaves the programs in $cell
build() {
    compiler=$1 level=$2 link=$3
    shift 3
    cell=$scratch/$compiler$level
    cmake -S "$source" -B "$cell" $generator -DCMAKE_C_COMPILER="$compiler" \
        -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$level" -DEDEN_BUILD_COMMAND=OFF \
        -DEDEN_BUILD_TESTS=OFF -DEDEN_BUILD_EXAMPLES=OFF "$@" &&
        cmake --build "$cell" --target eden-static -j "$jobs" || return 1
    for program in $programs; do
        "$compiler" -std=c11 "$level" $link -ffp-contract=off -D_POSIX_C_SOURCE=200809L \
            -I"$source" -I"$source/include" "$source/tests/$program.c" "$cell/libeden.a" \
            -lpthread -lm -o "$cell/$program" || return 1
    done
}

# run RUNNER: the programs, one after another
run() {
    status=0
    for program in $programs; do $1 "$cell/$program" || status=1; done
    return $status
}

# cell NAME RUNNER COMPILER LEVEL LINK-FLAG CMAKE-ARGUMENT...
cell() {
    name=$1 runner=$2 begun=$(date +%s)
    shift 2
    for tool in "$1" $runner; do
        case $tool in -*) continue ;; esac
        command -v "$tool" > /dev/null 2>&1 && continue
        echo "$name: skipped, there is no $tool here"
        skipped=$((skipped + 1))
        return
    done
    if ! build "$@" > "$scratch/log" 2>&1; then
        echo "$name: the build failed"
        tail -n 20 "$scratch/log"
        failed=$((failed + 1))
        return
    fi
    if ! run "$runner" > "$cell/out" 2>&1; then
        echo "$name: its own results differ"
        tail -n 20 "$cell/out"
        failed=$((failed + 1))
    fi
    digest=$(sed -n 's/^digest //p' "$cell/out" | tr '\n' ' ')
    sets=$(sed -n 's/: compared$//p' "$cell/out" | sort -u | tr '\n' ' ')
    echo "$name: ${digest:-no digest} ($sets) $(($(date +%s) - begun)) s"
    grep 'does not run here' "$cell/out" | sort -u
    : "${first:=$digest}"
    if [ "$(grep -c '^digest ' "$cell/out")" != 2 ] || [ "$digest" != "$first" ]; then
        echo "$name: the digest is not $first"
        failed=$((failed + 1))
    fi
    ran=$((ran + 1))
}

arm="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64"
for level in -O0 -O3; do
    cell "gcc $level" "" gcc $level ""
    cell "clang $level" "" clang $level ""
    cell "aarch64 gcc $level" "qemu-aarch64" aarch64-linux-gnu-gcc $level -static $arm
done
echo "$ran cells compared, $skipped skipped, $failed failures"
[ $failed = 0 ] && [ $ran -ge 2 ]
