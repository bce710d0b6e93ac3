#!/bin/sh
# symbols.sh - what the libraries export, what they need, and that they keep no
# writable data.
#   1. libeden exports the functions of tests/symbols.txt, all declared in include/eden,
#      and those of the backend's header, which is not installed; libeden-core those of
#      eden/core.h; libeden-mpi, if it was built, those of eden_mpi.h
#   2. no object of either has a writable section with anything in it
#   3. no object needs a function that prints or ends the program
#   4. nor one that keeps something all threads share
#   5. the core needs nothing but memcpy and memset and their kin
#   6. libeden-mpi keeps to 2 and 3 as well, and nothing else links MPI
# usage: EDEN_SOURCE=... EDEN_BUILD=... CC=... tests/symbols.sh
set -u
source=${EDEN_SOURCE:?} build=${EDEN_BUILD:?} cc=${CC:-cc}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0
bad() { echo "FAIL $*"; failed=1; }

exports() { nm -D --defined-only "$1" | awk '{ print $3 }' | LC_ALL=C sort; }
declared() { # HEADER...: names declared EDEN_API
    sed -n '/EDEN_API/,/;/p' "$@" | tr '\n' ' ' | grep -oE 'EDEN_API[^;(]*[( ]' |
        grep -oE 'eden_[a-z0-9_]+ *\($' | tr -d ' (' | LC_ALL=C sort -u
}
same() { # WHAT FILE FILE
    diff "$2" "$3" > "$scratch/diff" || { bad "$1:"; cat "$scratch/diff"; }
}
exports "$build/libeden.so" > "$scratch/have"
declared "$source"/include/eden/*.h "$source/src/optimizer/backend.h" > "$scratch/want"
same "libeden.so exports (<) other functions than the headers declare (>)" \
    "$scratch/have" "$scratch/want"
declared "$source"/include/eden/*.h > "$scratch/want"
same "the headers declare (<) other functions than tests/symbols.txt lists (>)" \
    "$scratch/want" "$source/tests/symbols.txt"
exports "$build/libeden-core.so" > "$scratch/have"
declared "$source/include/eden/core.h" > "$scratch/want"
same "libeden-core.so exports (<) other functions than eden/core.h declares (>)" \
    "$scratch/have" "$scratch/want"

# Sections that are written at run time and not empty. Relocated constants are
# read-only once the program runs.
writable() {
    objdump -h "$1" | awk '$1 ~ /^[0-9]+$/ && $2 ~ /^\.(data|bss|tdata|tbss)/ \
        && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print $2, "0x" $3 }'
    nm "$1" 2> /dev/null | awk '$2 == "C" { print "common", $3 }'
}
# What ends, stops or replaces the program, and what prints, as the C library spells them.
ending='abort|_?_exit|exit|_Exit|quick_exit|__assert_fail|__assert_perror_fail|assert|raise|gsignal|kill|killpg|tgkill|pthread_kill|pthread_exit|pthread_cancel|sigqueue|pause|sigsuspend|(__)?_?(sig)?longjmp(_chk)?|system|popen|exec[lv][pe]?e?|fexecve|posix_spawnp?'
ending="$ending|(__)?v?[fd]?w?printf(_chk)?|f?put(s|c|w|ws|wc|char|wchar)(_unlocked)?|_IO_put[cs]|fwrite(_unlocked)?|perror|psignal|psiginfo|v?(err|warn)x?|error(_at_line)?|v?syslog|__v?syslog_chk"
ends_program() {
    nm -u "$1" 2> /dev/null | awk '{ print $2 }' | grep -xE \
        "$ending"
}
shares() {
    nm -u "$1" 2> /dev/null | awk '{ print $2 }' | grep -xE \
        'localeconv|setlocale|strerror|strtok|strsignal|s?rand|random|gmtime|localtime|ctime|asctime|readdir|getpw.*|getgr.*|tmpnam|basename|dirname|setenv|putenv|unsetenv'
}
needs_libc() {
    nm -u "$1" 2> /dev/null | awk 'NF == 2 { print $2 }' |
        grep -vxE 'eden_.*|mem(cpy|move|set|cmp)|_GLOBAL_OFFSET_TABLE_'
}
for library in libeden libeden-core; do
    found=$(writable "$build/$library.a") && [ -z "$found" ] || bad "$library.a writes to $found"
    found=$(ends_program "$build/$library.a") && bad "$library.a calls $found"
    found=$(shares "$build/$library.a") && bad "$library.a shares $found between threads"
done
found=$(needs_libc "$build/libeden-core.a") && bad "libeden-core.a needs $found"

links_mpi() { readelf -d "$1" | grep -E 'NEEDED.*libp?mpi'; }
if [ -e "$build/libeden-mpi.so" ]; then
    exports "$build/libeden-mpi.so" > "$scratch/have"
    declared "$source/mpi/eden_mpi.h" > "$scratch/want"
    same "libeden-mpi.so exports (<) other functions than eden_mpi.h declares (>)" \
        "$scratch/have" "$scratch/want"
    links_mpi "$build/libeden-mpi.so" > /dev/null || bad "libeden-mpi.so does not link MPI"
    for object in $(find "$build/mpi" -name '*.o'); do
        found=$(writable "$object") && [ -z "$found" ] || bad "$object writes to $found"
        found=$(ends_program "$object") && bad "$object calls $found"
    done
fi
for file in "$build/libeden.so" "$build/libeden-core.so" "$build/eden"; do
    [ ! -e "$file" ] || ! links_mpi "$file" || bad "$file links MPI"
done

# The checks can fail: an object that breaks each of them.
cat > "$scratch/bad.c" << 'C'
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
int counter = 3;
static char room[8];
char *f(void);
char *f(void) { if (counter++ > 4) abort(); printf("%d\n", counter); room[counter & 7]++; localeconv(); return room; }
C
"$cc" -c -fPIC -fno-builtin "$scratch/bad.c" -o "$scratch/bad.o" || bad "cannot compile the control"
[ "$(writable "$scratch/bad.o" | wc -l)" = 2 ] || bad "the control's data was not found"
[ "$(ends_program "$scratch/bad.o" | wc -l)" = 2 ] || bad "the control's calls were not found"
set -- raise kill fwrite putc fputc fputs puts putchar fwrite_unlocked pthread_kill tgkill sigqueue perror warnx verr \
    error syslog __longjmp_chk siglongjmp execve execl execvp posix_spawn __printf_chk vfprintf dprintf _Exit abort
for name; do
    printf 'void %s(void); void call_%s(void); void call_%s(void) { %s(); }\n' $name $name $name $name
done > "$scratch/ends.c"
"$cc" -c -w -fno-builtin "$scratch/ends.c" -o "$scratch/ends.o" || bad "cannot compile the second control"
[ "$(ends_program "$scratch/ends.o" | wc -l)" = $# ] || bad "of the second control's $# calls some were not found"
[ "$(shares "$scratch/bad.o")" = localeconv ] || bad "the control's shared memory was not found"
[ "$(needs_libc "$scratch/bad.o" | wc -l)" -ge 2 ] || bad "the control's needs were not found"
sed '2,$!d' "$scratch/want" > "$scratch/fewer"
diff -q "$scratch/have" "$scratch/fewer" > /dev/null && bad "a missing export was not found"

[ $failed = 0 ] && echo "$(wc -l < "$source/tests/symbols.txt") functions exported, as declared"
exit $failed
