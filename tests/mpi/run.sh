#!/bin/sh
# run.sh - a program on some ranks, more of them than cores if need be.
# usage: tests/mpi/run.sh MPIEXEC RANKS PROGRAM [ARGUMENT...]
set -eu
mpiexec=$1 ranks=$2
shift 2
export OPENBLAS_NUM_THREADS=1 # ranks share the cores
# MPI itself leaves memory at the end, which is not for a sanitizer to tell.
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
if "$mpiexec" --version 2>&1 | grep -qi 'open.*mpi\|openrte'; then
    # Open MPI refuses more ranks than cores, and root, unless told.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
    export OMPI_MCA_btl_vader_single_copy_mechanism=none
    exec "$mpiexec" --oversubscribe -n "$ranks" "$@"
fi
exec "$mpiexec" -n "$ranks" "$@"
