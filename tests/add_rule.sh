#!/bin/sh
# add_rule.sh - one optimizer is one file.
#
# Copies tests/template_rule.c into rules/ of a copy of the tree, builds, and finds
# the optimizer in the command, in the digest and in training, with no other file
# touched.
set -u
source=${EDEN_SOURCE:-$(cd "$(dirname "$0")/.." && pwd)}
compiler=${CC:-cc}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree build=$scratch/build
jobs=$(nproc 2> /dev/null || echo 2)
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# run WHAT COMMAND...: 0 if it succeeds; keeps its output in $scratch/out
run() {
    what=$1
    shift
    "$@" > "$scratch/out" 2>&1 < /dev/null && echo "ok: $what" && return 0
    tail -n 20 "$scratch/out"
    fail "$what"
    return 1
}

# shows WHAT PATTERN COMMAND...: it succeeds, and its output has the pattern
shows() {
    what=$1 pattern=$2
    shift 2
    "$@" > "$scratch/out" 2>&1 < /dev/null && grep -q "$pattern" "$scratch/out" &&
        echo "ok: $what" && return 0
    tail -n 20 "$scratch/out"
    fail "$what: no '$pattern'"
}

sums() { # of every file of the tree
    (cd "$tree" && find . -type f -exec cksum {} + | sort -k 3)
}

compile() { # OUTPUT SOURCE LIBRARY...
    output=$1 program=$2
    shift 2
    "$compiler" -std=c11 -O1 -ffp-contract=off -D_POSIX_C_SOURCE=200809L \
        -DEDEN_SOURCE_DIR="\"$tree\"" -I"$tree" -I"$tree/include" "$program" \
        "$build/libeden.a" "$@" -lpthread -lm -o "$output"
}

# Only what belongs to the project is copied: no build folders, no history.
mkdir "$tree" || exit 1
for part in "$source"/*; do
    case ${part##*/} in build*) continue ;; esac
    cp -R "$part" "$tree/" || exit 1
done

rule=$(sed -n 's/^#define RULE  *//p' "$source/tests/template_rule.c")
[ -n "$rule" ] || fail "the template has no name"
[ -e "$tree/rules/$rule.c" ] && fail "rules/$rule.c is there already"
sums > "$scratch/before"
cp "$source/tests/template_rule.c" "$tree/rules/$rule.c"

generator=""
command -v ninja > /dev/null 2>&1 && generator="-G Ninja"
run "configures" cmake -S "$tree" -B "$build" $generator -DCMAKE_C_COMPILER="$compiler" \
    -DEDEN_BUILD_TESTS=OFF -DEDEN_BUILD_EXAMPLES=OFF -DEDEN_WERROR=ON || exit 1
run "builds without a warning" cmake --build "$build" -j "$jobs" || exit 1
[ -x "$build/eden" ] || { fail "the command was not built"; exit 1; }
eden=$build/eden

shows "eden list" "$rule" "$eden" list
shows "eden list --json" "\"$rule\"" "$eden" list --json
shows "eden show has the formula" 'beta\*m' "$eden" show "$rule"
shows "eden show has the settings" 'weight_decay' "$eden" show "$rule"

run "the digest program" compile "$scratch/test_bits" "$tree/tests/test_bits.c" &&
    shows "the digest covers it" "^$rule [1-9]" "$scratch/test_bits" --list &&
    shows "its bits agree" '^digest' "$scratch/test_bits"

run "eden train" "$eden" train digits --optimizer "$rule" --epochs 1 --lr 1e-3 --beta 0.8
"$eden" train digits --optimizer "$rule" --epochs 1 --beta 1 > "$scratch/out" 2>&1 < /dev/null &&
    fail "eden train takes beta = 1"
grep -q "beta" "$scratch/out" || fail "the refusal does not name beta"

# The oracle's test wants vectors for every rule but the one it is told to excuse.
printf 'int main(void) { return 0; }\n' > "$scratch/empty.c"
if compile "$scratch/empty" "$scratch/empty.c" -lcmocka 2> /dev/null; then
    run "the oracle's test" compile "$scratch/test_oracle" "$tree/tests/test_oracle.c" -lcmocka
    run "the oracle excuses it when told" env EDEN_TEMPLATE_RULE="$rule" "$scratch/test_oracle"
    "$scratch/test_oracle" > "$scratch/out" 2>&1 && fail "a rule without vectors passes"
    grep -q "vectors/$rule.txt is missing" "$scratch/out" || fail "nothing names the missing vectors"
fi

sums > "$scratch/after"
touched=$(diff "$scratch/before" "$scratch/after" | sed -n 's/^[<>] .* //p')
if [ "$touched" = "./rules/$rule.c" ]; then
    echo "ok: rules/$rule.c is the only file"
else
    fail "other files were touched: $touched"
fi
exit $failed
