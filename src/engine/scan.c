/* scan.c - see scan.h; compiled once for each instruction set. */
#include "engine/scan.h"

#define SCAN_NAME_(isa) eden_scan_##isa
#define SCAN_NAME(isa) SCAN_NAME_(isa)

#define X(isa) extern eden_scan_kernel SCAN_NAME(isa);
EDEN_ISAS(X)
#undef X

typedef union {
    real f;
    uint32_t u;
} bits;

static uint32_t magnitude(real x)
{
    bits b;
    b.f = x;
    return b.u & 0x7fffffffu;
}

/* Signed comparison of non-negative integers, which every instruction set has. */
static EDEN_OUTLINE uint32_t largest(const real *g, size_t n)
{
    int32_t top = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t x = (int32_t)magnitude(g[i]);
        top = x > top ? x : top;
    }
    return (uint32_t)top;
}

EDEN_INLINE double square(real g, real pre, real limit, int clamps)
{
    const real x = g * pre;
    const double y = !clamps ? x : x > limit ? limit : x < -limit ? -limit : x;
    return y * y;
}

/* Add to lanes; element i of the chunk to lane i % EDEN_LANES. */
EDEN_INLINE void add_squares(const real *g, size_t n, real pre, real limit, int clamps, double *lane)
{
    size_t i = 0;
    for (; i + EDEN_LANES <= n; i += EDEN_LANES)
        for (size_t l = 0; l < EDEN_LANES; l++) lane[l] += square(g[i + l], pre, limit, clamps);
    for (size_t l = 0; i + l < n; l++) lane[l] += square(g[i + l], pre, limit, clamps);
}

static EDEN_OUTLINE void squares(const real *g, size_t n, real pre, double *restrict lane)
{
    add_squares(g, n, pre, 0, 0, lane);
}

static EDEN_OUTLINE void clamped_squares(const real *g, size_t n, real pre, real limit,
                                         double *restrict lane)
{
    add_squares(g, n, pre, limit, 1, lane);
}

static double fold(double *lane)
{
    for (size_t w = EDEN_LANES / 2; w > 0; w /= 2)
        for (size_t l = 0; l < w; l++) lane[l] += lane[l + w];
    return lane[0];
}

/* What both looks at a part take from memory once; it stays in L1 between them. */
#define PART (4 * EDEN_BLOCK)

void SCAN_NAME(EDEN_ISA)(const real *g, size_t n, const eden_grad_scale *scale, int want_norm,
                         eden_scan *out)
{
    double lane[EDEN_LANES];
    *out = (eden_scan){ 0, 0 };
    for (size_t l = 0; l < EDEN_LANES; l++) lane[l] = 0;
    for (size_t i = 0; i < n; i += PART) {
        const size_t length = n - i < PART ? n - i : PART;
        const uint32_t top = largest(g + i, length);
        out->top = top > out->top ? top : out->top;
        if (!want_norm) continue;
        if (scale->limit == __builtin_inff()) squares(g + i, length, scale->pre, lane);
        else clamped_squares(g + i, length, scale->pre, scale->limit, lane);
    }
    if (want_norm) out->norm2 = fold(lane);
}

#ifdef EDEN_DESCRIBE

eden_scan_kernel *const eden_scans[EDEN_ISA_COUNT] = {
#define X(isa) SCAN_NAME(isa),
    EDEN_ISAS(X)
#undef X
};

size_t eden_scan_find(const real *g, size_t n, uint32_t above)
{
    size_t i = 0;
    while (i < n && magnitude(g[i]) <= above) i++;
    return i;
}

#endif
