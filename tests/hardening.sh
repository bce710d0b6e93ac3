#!/bin/sh
# hardening.sh - the command and the shared libraries are built so that a defect is harder
# to use: relocations are read-only once the program runs and resolved before, no stack or
# text is both written and run, the command lies at a random address, functions with
# arrays guard their return address, and libc's calls know the size of what they write to.
# usage: EDEN_SOURCE=... EDEN_BUILD=... CC=... tests/hardening.sh
set -u
build=${EDEN_BUILD:?} cc=${CC:-cc}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0
bad() { echo "FAIL $*"; failed=1; }

# faults FILE KIND: what is missing. KIND is program, library, or core: the core calls
# nothing of libc that could be guarded, and its kernels are left as fast as they are.
faults() {
    readelf -W -l "$1" > "$scratch/segments"
    readelf -W -d "$1" > "$scratch/dynamic"
    readelf -W -h "$1" > "$scratch/header"
    readelf -W --dyn-syms "$1" > "$scratch/symbols"
    grep -q GNU_RELRO "$scratch/segments" || echo "no-relro"
    grep -qE 'BIND_NOW|FLAGS_1.*NOW' "$scratch/dynamic" || echo "lazy-binding"
    grep -E 'GNU_STACK' "$scratch/segments" | grep -q 'RWE' && echo "executable-stack"
    grep -q GNU_STACK "$scratch/segments" || echo "no-stack-header"
    grep -E ' LOAD ' "$scratch/segments" | grep -q 'RWE' && echo "writable-code"
    grep -q TEXTREL "$scratch/dynamic" && echo "text-relocations"
    # CMake gives a program in the build folder one, and takes it away when it installs.
    [ "$2" = program ] || ! grep -qE 'RPATH|RUNPATH' "$scratch/dynamic" || echo "search-path"
    [ "$2" = core ] && return
    grep -q __stack_chk_fail "$scratch/symbols" || echo "no-stack-protector"
    grep -q '__[a-z]*_chk' "$scratch/symbols" && grep '__[a-z]*_chk' "$scratch/symbols" |
        grep -qv __stack_chk_fail || echo "no-fortify"
    [ "$2" = program ] || return
    grep -q 'Type:.*DYN' "$scratch/header" && grep -q 'FLAGS_1.*PIE' "$scratch/dynamic" || echo "no-pie"
}

check() {
    [ -f "$1" ] || { bad "$1 is not built"; return; }
    found=$(faults "$1" "$2" | xargs)
    [ -z "$found" ] || bad "$1: $found"
}
check "$build/libeden.so" library
check "$build/libeden-core.so" core
[ ! -f "$build/eden" ] || check "$build/eden" program

# The checks can fail: a program with none of it.
cat > "$scratch/bad.c" << 'C'
#include <stdio.h>
#include <string.h>
int main(int count, char **words)
{
    char room[64];
    strcpy(room, words[count - 1]);
    return puts(room);
}
C
"$cc" -O2 -U_FORTIFY_SOURCE -fno-stack-protector -fno-pie -no-pie -z norelro -z lazy -z execstack \
    -Wl,-rpath,/nowhere "$scratch/bad.c" -o "$scratch/bad" 2> "$scratch/words" || bad "cannot build the control"
found=$(faults "$scratch/bad" program | xargs)
[ "$found" = "no-relro lazy-binding executable-stack no-stack-protector no-fortify no-pie" ] ||
    bad "of the control only this was found: $found"
faults "$scratch/bad" core | grep -q search-path || bad "the control's search path was not found"
"$cc" -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -pie -Wl,-z,relro -Wl,-z,now \
    "$scratch/bad.c" -o "$scratch/good" || bad "cannot build the other control"
found=$(faults "$scratch/good" program | xargs)
[ -z "$found" ] || bad "the other control: $found"
[ $failed = 0 ] && echo "hardened, as readelf sees it"
exit $failed
