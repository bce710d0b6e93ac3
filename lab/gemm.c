/* gemm.c - matrix products on any CBLAS, in float or double. */
#include "lab/gemm.h"

#include <cblas.h>

/* OpenBLAS's own; other libraries that come with cblas.h do not have it. */
__attribute__((weak)) void openblas_set_num_threads(int);

void lab_gemm_one_thread(void)
{
    if (openblas_set_num_threads) openblas_set_num_threads(1);
}

void lab_gemm(uint64_t m, uint64_t n, uint64_t k, lab_matrix a, lab_matrix b, lab_real beta,
              lab_real *c, uint64_t stride)
{
    _Generic((lab_real)0, float: cblas_sgemm, double: cblas_dgemm)(
        CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
        b.transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1, a.at, (int)a.stride,
        b.at, (int)b.stride, beta, c, (int)stride);
}
