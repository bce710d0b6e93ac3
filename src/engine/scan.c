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

EDEN_INLINE double sum_squares(const real *g, size_t n, real pre, real limit, int clamps)
{
    double lane[EDEN_LANES];
    size_t i = 0;
    for (size_t l = 0; l < EDEN_LANES; l++) lane[l] = 0;
    for (; i + EDEN_LANES <= n; i += EDEN_LANES)
        for (size_t l = 0; l < EDEN_LANES; l++) lane[l] += square(g[i + l], pre, limit, clamps);
    for (size_t l = 0; i + l < n; l++) lane[l] += square(g[i + l], pre, limit, clamps);
    for (size_t w = EDEN_LANES / 2; w > 0; w /= 2)
        for (size_t l = 0; l < w; l++) lane[l] += lane[l + w];
    return lane[0];
}

static EDEN_OUTLINE double squares(const real *g, size_t n, real pre)
{
    return sum_squares(g, n, pre, 0, 0);
}

static EDEN_OUTLINE double clamped_squares(const real *g, size_t n, real pre, real limit)
{
    return sum_squares(g, n, pre, limit, 1);
}

void SCAN_NAME(EDEN_ISA)(const real *g, size_t n, const eden_grad_scale *scale, int want_norm,
                         eden_scan *out)
{
    out->top = largest(g, n);
    if (!want_norm) out->norm2 = 0;
    else if (scale->limit == __builtin_inff()) out->norm2 = squares(g, n, scale->pre);
    else out->norm2 = clamped_squares(g, n, scale->pre, scale->limit);
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
