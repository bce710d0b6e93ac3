/* loops.c - see loops.h; compiled once for each instruction set. */
#include "lab/loops.h"

#include "lab/fast.h"

#define TEXT_(isa) #isa
#define TEXT(isa) TEXT_(isa)
#define NAME_(isa) lab_loops_##isa
#define NAME(isa) NAME_(isa)

#define X(isa) extern const lab_loops NAME(isa);
#include "lab/isas.inc"
#undef X

/* x times the chance that a normal number is below x, in its form by the hyperbolic
 * tangent (Hendrycks and Gimpel, 2016), which is x sigmoid(2 u) with
 * u = sqrt(2 / pi) (x + 0.044715 x^3). */
#define TWICE_ROOT 1.59576912160573071
#define CUBE 0.044715

static void gelu(lab_real *restrict y, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const lab_real x = y[i], twice = (lab_real)TWICE_ROOT * x * (1 + (lab_real)CUBE * (x * x));
        y[i] = x * (1 / (1 + lab_exp(-twice)));
    }
}

/* The slope is s + x s (1 - s) 2 u'. */
static void gelu_slopes(lab_real *restrict y, lab_real *restrict slope, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const lab_real x = y[i], square = x * x;
        const lab_real twice = (lab_real)TWICE_ROOT * x * (1 + (lab_real)CUBE * square);
        const lab_real s = 1 / (1 + lab_exp(-twice));
        const lab_real steep = (lab_real)TWICE_ROOT * (1 + (lab_real)(3 * CUBE) * square);
        y[i] = x * s;
        slope[i] = s + x * s * (1 - s) * steep;
    }
}

/* 1 - 2 / (e^2x + 1), whose error is a unit of the last place of 1. */
static void tanh_of(lab_real *restrict y, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) y[i] = 1 - 2 / (lab_exp(2 * y[i]) + 1);
}

static void tanh_back(lab_real *restrict d, const lab_real *restrict y, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) d[i] *= 1 - y[i] * y[i];
}

static void exponentials(lab_real *restrict x, uint64_t n, lab_real top, lab_real factor)
{
    for (uint64_t i = 0; i < n; i++) x[i] = lab_exp((x[i] - top) * factor);
}

static void scale(lab_real *restrict y, uint64_t n, lab_real factor)
{
    for (uint64_t i = 0; i < n; i++) y[i] *= factor;
}

static void softmax_back(lab_real *restrict d, const lab_real *restrict p, uint64_t n, lab_real sum,
                         lab_real factor)
{
    for (uint64_t i = 0; i < n; i++) d[i] = factor * p[i] * (d[i] - sum);
}

static void add(lab_real *restrict y, const lab_real *restrict x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) y[i] += x[i];
}

static void sum_of(lab_real *restrict y, const lab_real *restrict a, const lab_real *restrict b,
                   uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void multiply(lab_real *restrict y, const lab_real *restrict x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) y[i] *= x[i];
}

/* Without a branch, which would go either way half of the time. */
static void pool(lab_real *restrict y, unsigned char *restrict which, const lab_real *restrict top,
                 const lab_real *restrict bottom, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const lab_real a0 = top[2 * i], a1 = top[2 * i + 1], b0 = bottom[2 * i], b1 = bottom[2 * i + 1];
        const lab_real a = a1 > a0 ? a1 : a0, b = b1 > b0 ? b1 : b0;
        const int below = b > a, right = (below & (b1 > b0)) | (!below & (a1 > a0));
        y[i] = b > a ? b : a;
        which[i] = (unsigned char)(2 * below + right);
    }
}

static void pool_back(lab_real *top, lab_real *bottom, const lab_real *d, const unsigned char *which,
                      uint64_t n)
{
    lab_real *const line[2] = { top, bottom };
    for (uint64_t i = 0; i < 2 * n; i++) top[i] = 0;
    for (uint64_t i = 0; i < 2 * n; i++) bottom[i] = 0;
    for (uint64_t i = 0; i < n; i++) line[which[i] / 2][2 * i + which[i] % 2] = d[i];
}

const lab_loops NAME(LAB_ISA) = {
    .isa = TEXT(LAB_ISA), .gelu = gelu, .gelu_slopes = gelu_slopes, .tanh = tanh_of,
    .tanh_back = tanh_back, .exponentials = exponentials,
    .scale = scale, .softmax_back = softmax_back, .add = add, .sum = sum_of, .multiply = multiply,
    .pool = pool, .pool_back = pool_back,
};
