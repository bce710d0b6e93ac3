#!/bin/sh
# objects.sh - look at the machine code of the kernels, not only at its results.
#   1. every rule multiplies in packed form, in the widest register of its
#      instruction set: it was vectorized
#   2. nothing holds a fused multiply-add: nothing was contracted
#   3. the baseline holds no AVX at all
#   4. a kernel object exports its table and nothing else: no inline function
#      compiled for AVX can leak into a program that must run without
# usage: EDEN_SOURCE=... EDEN_BUILD=... tests/objects.sh
set -u
source=${EDEN_SOURCE:?} build=${EDEN_BUILD:?}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0 checked=0
bad() { echo "FAIL $*"; failed=1; }

fused() { grep -qE '[[:space:]]vfn?m(add|sub)' "$1"; }
packed() { grep -qE "mulp[sd] .*%$2" "$1"; }
avx() { grep -qE '[[:space:]]v[a-z0-9]+ .*%[xyz]mm' "$1"; }

check() { # OBJECT ISA EXPORTS
    case $2 in base) register=xmm ;; avx2) register=ymm ;; avx512) register=zmm ;; esac
    objdump -d --no-show-raw-insn "$1" > "$scratch/code"
    packed "$scratch/code" $register || bad "$1: no packed multiply in $register"
    fused "$scratch/code" && bad "$1: a fused multiply-add"
    [ "$2" = base ] && avx "$scratch/code" && bad "$1: AVX in the baseline"
    have=$(nm -g --defined-only "$1" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort | xargs)
    [ "$have" = "$3" ] || bad "$1: exports $have instead of $3"
    checked=$((checked + 1))
}

for isa in base avx2 avx512; do
    folder=$build/src/CMakeFiles/eden-kernels-$isa.dir/__/rules
    [ -d "$folder" ] || { echo "not built here: $isa"; continue; }
    case $(objdump -f "$folder"/*.o | grep -m 1 architecture) in
    *x86-64*) ;;
    *) echo "skipped: the checks know the registers of x86-64 only"; exit 77 ;;
    esac
    for rule in "$source"/rules/*.c; do
        name=$(basename "$rule" .c)
        exports="eden_kernels_${name}_$isa"
        [ $isa = base ] && exports="$exports eden_rule_$name"
        check "$folder/$name.c.o" $isa "$exports eden_small_${name}_$isa"
    done
done
[ $checked -gt 0 ] || bad "no kernel object found in $build"

# The checks can fail: a line of each kind of code.
printf '  10:\tvfmadd213ps %%ymm0,%%ymm1,%%ymm2\n' > "$scratch/code"
fused "$scratch/code" && avx "$scratch/code" || bad "the control's fused multiply-add was not found"
packed "$scratch/code" ymm && bad "a fused multiply-add passed for a packed multiply"
printf '  10:\tmulss  %%xmm0,%%xmm1\n' > "$scratch/code"
packed "$scratch/code" xmm && bad "a scalar multiply passed for a packed one"
avx "$scratch/code" && bad "SSE passed for AVX"

echo "$checked kernel objects"
exit $failed
