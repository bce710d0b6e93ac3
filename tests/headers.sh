#!/bin/sh
# headers.sh - each public header compiles on its own, in C and in C++, with the
# strictest warnings, and twice in one file.
set -u
source=${EDEN_SOURCE:?} cc=${CC:-cc} cxx=${CXX:-c++}
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
failed=0
warnings="-Wall -Wextra -Wconversion -Wshadow -Wundef -pedantic -Werror"

for header in "$source"/include/eden/*.h; do
    name=eden/$(basename "$header")
    printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' "$name" "$name" \
        > "$scratch/a.c"
    cp "$scratch/a.c" "$scratch/a.cpp"
    "$cc" -std=c11 $warnings -Wstrict-prototypes -I"$source/include" -c "$scratch/a.c" \
        -o "$scratch/a.o" || { echo "FAIL $name in C"; failed=1; }
    "$cxx" -std=c++11 $warnings -I"$source/include" -c "$scratch/a.cpp" \
        -o "$scratch/a.o" || { echo "FAIL $name in C++"; failed=1; }
done
# eden_mpi.h, with the MPI that is here; MPI's own headers are not held to these warnings.
mpi=$(mpicc -show 2> /dev/null | tr ' ' '\n' | sed -n 's/^-I/-isystem /p')
if command -v mpicc > /dev/null 2>&1; then
    printf '#include <eden_mpi.h>\n#include <eden_mpi.h>\nint main(void) { return 0; }\n' > "$scratch/a.c"
    cp "$scratch/a.c" "$scratch/a.cpp"
    "$cc" -std=c11 $warnings -Wstrict-prototypes -I"$source/include" -I"$source/mpi" $mpi -c "$scratch/a.c" \
        -o "$scratch/a.o" || { echo "FAIL eden_mpi.h in C"; failed=1; }
    "$cxx" -std=c++11 $warnings -DOMPI_SKIP_MPICXX -DMPICH_SKIP_MPICXX -I"$source/include" -I"$source/mpi" $mpi \
        -c "$scratch/a.cpp" -o "$scratch/a.o" || { echo "FAIL eden_mpi.h in C++"; failed=1; }
else
    echo "eden_mpi.h is left out: there is no mpicc"
fi
[ $failed = 0 ] && echo "every public header compiles alone in C11 and C++11"
exit $failed
