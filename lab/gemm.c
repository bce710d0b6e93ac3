/* gemm.c - matrix products on any CBLAS, in float or double. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "lab/gemm.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* OpenBLAS's own; other libraries that come with cblas.h do not have it. */
__attribute__((weak)) void openblas_set_num_threads(int);

void lab_gemm_one_thread(void)
{
    if (openblas_set_num_threads) openblas_set_num_threads(1);
}

static int space_is_limited(void)
{
    struct rlimit limit;
    return openblas_set_num_threads && !getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY;
}

int lab_gemm_fits(uint32_t threads)
{
    /* What malloc adds to it, should mmap refuse, and what little is allocated later. */
    const size_t each = (size_t)129 << 20, spare = (size_t)4 << 20;
    const size_t room = each * threads + spare;
    if (!space_is_limited()) return 1;
    void *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return 0;
    munmap(at, room);
    return 1;
}

void lab_gemm_restart(char **words)
{
    static const char name[] = "OPENBLAS_NUM_THREADS";
    const char *threads = getenv(name);
    if (!space_is_limited() || (threads && !strcmp(threads, "1"))) return;
    if (!setenv(name, "1", 1)) execv("/proc/self/exe", words);
}

void lab_gemm(uint64_t m, uint64_t n, uint64_t k, lab_matrix a, lab_matrix b, lab_real beta,
              lab_real *c, uint64_t stride)
{
    _Generic((lab_real)0, float: cblas_sgemm, double: cblas_dgemm)(
        CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
        b.transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1, a.at, (int)a.stride,
        b.at, (int)b.stride, beta, c, (int)stride);
}
