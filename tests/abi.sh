#!/bin/sh
# abi.sh - the binary interface is that of tests/abi.xml: programs that were linked with an
# older libeden work with this one. Functions may be added; nothing else may change but
# with the major version, and then with the file: tests/abi.sh --write.
#
# What abidw looks at is a small library with a pointer to each function of
# tests/symbols.txt, so that the file holds what is public and nothing else.
# usage: EDEN_SOURCE=... CC=... tests/abi.sh [--write]
set -u
source=${EDEN_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)} cc=${CC:-cc}
for tool in abidw abidiff; do
    command -v $tool > /dev/null 2>&1 ||
        { echo "skipped: $tool is not installed (Debian: abigail-tools)"; exit 77; }
done
case $("$cc" -dumpmachine) in
x86_64-*) ;;
*) echo "skipped: tests/abi.xml is that of x86-64"; exit 77 ;;
esac
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0
bad() { echo "FAIL $*"; failed=1; }

# describe HEADERS SYMBOLS: the interface as $scratch/abi.xml. The compilation stands in
# the scratch folder, so that the file holds no path.
describe() {
    {
        echo '#include <eden/safetensors.h>'
        while read -r name; do
            echo "extern __typeof__(&$name) const abi_$name; __typeof__(&$name) const abi_$name = $name;"
        done < "$2"
    } > "$scratch/abi.c"
    (cd "$scratch" && "$cc" -std=gnu11 -g -gdwarf-4 -O0 -fPIC -shared -I"$1" abi.c -o libabi.so &&
        abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-parameter-names --no-elf-needed \
            --type-id-style hash libabi.so > abi.xml)
}
compare() { abidiff --no-added-syms "$source/tests/abi.xml" "$scratch/abi.xml" > "$scratch/diff"; }

describe "$source/include" "$source/tests/symbols.txt" || { bad "cannot look at the interface"; exit 1; }
if [ "${1:-}" = --write ]; then
    sed "s| language='[^']*'||; s|<\!--.*-->||" "$scratch/abi.xml" > "$source/tests/abi.xml"
    exit
fi
compare || { bad "the binary interface has changed:"; cat "$scratch/diff"; }

# The comparison can fail: a struct with a wider field, a call with another type, one less.
control() { # WHAT SED-SCRIPT FILE
    rm -rf "$scratch/include" && cp -r "$source/include" "$source/tests/symbols.txt" "$scratch/"
    sed -i "$2" "$scratch/$3"
    cmp -s "$scratch/$3" "$source/$3" && bad "the control '$1' changed nothing"
    describe "$scratch/include" "$scratch/symbols.txt" || bad "cannot look at the control '$1'"
    compare
    [ $(($? & 4)) = 4 ] || bad "$1 was not noticed"
}
control "a struct with a wider field" 's/^    uint32_t threads; /    uint64_t threads; /' include/eden/eden.h
control "a call with another type" 's/^EDEN_API uint64_t eden_steps(/EDEN_API uint32_t eden_steps(/' include/eden/eden.h
control "a call less" '/^eden_skipped$/d' symbols.txt
[ $failed = 0 ] && echo "the binary interface is as it was, or larger"
exit $failed
