#!/bin/sh
# valgrind.sh - memcheck finds nothing in a selection of tests: no byte read before it was
# written, none out of bounds, none lost. It sees what sanitizers do not: uninitialised
# values that decide something, in the very code that is shipped.
# usage: EDEN_BUILD=... tests/valgrind.sh
set -u
build=${EDEN_BUILD:?}
command -v valgrind > /dev/null 2>&1 || { echo "skipped: valgrind is not installed"; exit 77; }
# valgrind knows no AVX-512 and hides it from programs, so that they take the path of AVX2.
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0 checked=0

cat > "$scratch/bad.c" << 'C'
#include <stdlib.h>
int main(void) { int *a = malloc(8); return a[0] > 3 ? 1 : 0; }
C
"${CC:-cc}" -g "$scratch/bad.c" -o "$scratch/bad" || exit 1
memcheck() {
    timeout 300 valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
        --child-silent-after-fork=yes "$@" > "$scratch/out" 2> "$scratch/err"
}
memcheck "$scratch/bad"
[ $? = 99 ] || { echo "FAIL the control was not found"; failed=1; }

for name in test_safetensors test_safetensors_write test_checkpoint test_optimizer test_groups \
    test_schedule test_schedule_text test_early test_average test_data_csv; do
    [ -x "$build/tests/$name" ] || continue
    memcheck "$build/tests/$name"
    code=$?
    checked=$((checked + 1))
    [ $code = 0 ] || { echo "FAIL $name: code $code"; tail -n 30 "$scratch/err"; failed=1; }
done
for target in header meta settings schedule csv idx gzip args; do
    [ -x "$build/fuzz/fuzz-$target" ] || continue
    memcheck "$build/fuzz/fuzz-$target" --from 0 --runs 60
    code=$?
    checked=$((checked + 1))
    [ $code = 0 ] || { echo "FAIL fuzz-$target: code $code"; tail -n 30 "$scratch/err"; failed=1; }
done
[ $checked -gt 0 ] || { echo "FAIL no program found in $build"; failed=1; }
echo "$checked programs under memcheck"
exit $failed
