/* gemm.h - matrix products; gemm.c is the only file that knows CBLAS. */
#ifndef LAB_GEMM_H
#define LAB_GEMM_H

#include "lab/real.h"

/* A matrix in row-major order with rows `stride` apart, or its transpose. */
typedef struct {
    const lab_real *at;
    uint64_t stride;
    int transposed;
} lab_matrix;

/* c = a b + beta c, where c is m x n with rows `stride` apart and k is the inner
 * extent. All extents are below 2^31. */
void lab_gemm(uint64_t m, uint64_t n, uint64_t k, lab_matrix a, lab_matrix b, lab_real beta,
              lab_real *c, uint64_t stride);

/* Keep the library to one thread: work is split here, and in its own threads the
 * order of sums would depend on how many there are. */
void lab_gemm_one_thread(void);

/* OpenBLAS takes 128 MiB of address space for each thread that multiplies, and where a
 * limit leaves less, looks for it for ever. Is there room for so many threads? It takes
 * the room at the first product, and keeps it. */
int lab_gemm_fits(uint32_t threads);

/* Under such a limit OpenBLAS's own threads would be looking before main() has begun, and
 * exit() would wait for them: run the program of `words` again, without these threads.
 * Returns where there is no such limit, or they are off. */
void lab_gemm_restart(char **words);

#endif
