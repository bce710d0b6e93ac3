/* schedule_math.c - the arithmetic of schedules, the same bits everywhere. */
#include "optimizer/schedule_math.h"

#include <float.h>

#include "engine/rule.h"

/* ---- twice the precision (Dekker, Knuth) ------------------------------------- */

/* The sum of two numbers, and what its rounding lost. */
static eden_wide two_sum(double a, double b)
{
    const double sum = a + b, from_b = sum - a;
    return (eden_wide){ sum, (a - (sum - from_b)) + (b - from_b) };
}

static void halves(double a, double *high, double *low)
{
    const double scaled = 134217729.0 * a; /* 2^27 + 1 */
    *high = scaled - (scaled - a);
    *low = a - *high;
}

static eden_wide two_product(double a, double b)
{
    const double product = a * b;
    double a1, a2, b1, b2;
    halves(a, &a1, &a2);
    halves(b, &b1, &b2);
    return (eden_wide){ product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2 };
}

static eden_wide wide_add(eden_wide a, eden_wide b)
{
    eden_wide sum = two_sum(a.hi, b.hi);
    const eden_wide rest = two_sum(a.lo, b.lo);
    sum = two_sum(sum.hi, sum.lo + rest.hi);
    return two_sum(sum.hi, sum.lo + rest.lo);
}

static eden_wide wide_multiply(eden_wide a, eden_wide b)
{
    const eden_wide product = two_product(a.hi, b.hi);
    return two_sum(product.hi, product.lo + (a.hi * b.lo + a.lo * b.hi));
}

static int wide_less(eden_wide a, eden_wide b)
{
    return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo);
}

static eden_wide wide_whole(uint64_t n)
{
    return two_sum((double)(n >> 32) * 4294967296.0, (double)(n & 0xffffffffu));
}

eden_wide eden_wide_ratio(double a, double b)
{
    const double quotient = a / b;
    const eden_wide back = two_product(quotient, b);
    return two_sum(quotient, ((a - back.hi) - back.lo) / b);
}

/* ---- powers --------------------------------------------------------------------- */

static double two_to(int64_t e)
{
    union { double d; uint64_t u; } b;
    b.u = (uint64_t)(e + 1023) << 52;
    return b.d;
}

/* x * 2^e, kept finite. */
static double scale(double x, int64_t e)
{
    e = e > 3000 ? 3000 : e < -3000 ? -3000 : e;
    for (; e > 1000; e -= 1000) x *= two_to(1000);
    for (; e < -1000; e += 1000) x *= two_to(-1000);
    x *= two_to(e);
    return x > DBL_MAX ? DBL_MAX : x;
}

/* The e for which x / 2^e lies in [1, 2); x is positive. */
static int64_t exponent(double x)
{
    union { double d; uint64_t u; } b;
    const int tiny = x < DBL_MIN;
    b.d = tiny ? x * two_to(60) : x;
    return (int64_t)(b.u >> 52) - 1023 - (tiny ? 60 : 0);
}

/* A number m * 2^e, with m near 1, so that no square overflows. */
typedef struct {
    eden_wide m;
    int64_t e;
} eden_floating;

static eden_floating normal(eden_wide m, int64_t e)
{
    const int64_t by = exponent(m.hi);
    m.hi = scale(m.hi, -by);
    m.lo = scale(m.lo, -by);
    return (eden_floating){ m, e + by };
}

double eden_power_whole(eden_wide base, uint64_t n)
{
    if (n == 0) return 1;
    if (base.hi <= 0) return 0;
    eden_floating b = normal(base, 0), result = { { 1, 0 }, 0 };
    for (;;) {
        if (n & 1) result = normal(wide_multiply(result.m, b.m), result.e + b.e);
        n >>= 1;
        if (n == 0) break;
        b = normal(wide_multiply(b.m, b.m), 2 * b.e);
        /* Some power of b is still to come, and it alone leaves the range. */
        if (b.e > 3000) return DBL_MAX;
        if (b.e < -3000) return 0;
    }
    return scale(result.m.hi, result.e);
}

double eden_power_part(double base, eden_wide y)
{
    if (y.hi == 0) return 1;
    if (base <= 0) return 0;
    int64_t e = exponent(base);
    double m = scale(base, -e);
    if (m > 1.4142135623730951) m *= 0.5, e++;
    /* base^y = m^y * 2^(y * e), and y * e is a whole number and a rest. */
    const eden_wide of_2 = two_product(y.hi, (double)e);
    const int64_t whole = (int64_t)of_2.hi;
    const double rest = (of_2.hi - (double)whole) + (of_2.lo + y.lo * (double)e);
    return scale(exponential(y.hi * natural_log(m) + rest * 0.69314718055994531), whole);
}

/* ---- cosine ----------------------------------------------------------------------- */

#define PI 3.14159265358979323846

/* sin x and cos x for 0 <= x <= pi/4, by their series. */
static double sine(double x)
{
    const double x2 = x * x;
    double sum = 1;
    for (int k = 18; k >= 2; k -= 2) sum = 1 - sum * x2 / (k * (k + 1));
    return x * sum;
}

static double cosine(double x)
{
    const double x2 = x * x;
    double sum = 1;
    for (int k = 19; k >= 1; k -= 2) sum = 1 - sum * x2 / (k * (k + 1));
    return sum;
}

double eden_half_cosine(double gone, double left)
{
    const double all = gone + left;
    if (gone > left) {
        const double s = sine(PI * (left / (2 * all)));
        return s * s;
    }
    if (3 * gone > left) return 0.5 + 0.5 * sine(PI * ((left - gone) / (2 * all)));
    return 0.5 + 0.5 * cosine(PI * (gone / all));
}

/* ---- cycles ------------------------------------------------------------------------- */

/* sum[i] is the length of the first 2^i cycles together and power[i] how much the
 * next ones are longer, so that sum[i + 1] = sum[i] * (1 + power[i]). The largest
 * number of cycles that ends before s is then put together bit by bit. */
void eden_find_cycle(double n, double grow, uint64_t s, double *gone, double *left)
{
    eden_wide sum[65], power_of[65];
    const eden_wide at = wide_whole(s), one = { 1, 0 };
    int i = 0;
    sum[0] = (eden_wide){ n, 0 };
    power_of[0] = (eden_wide){ grow, 0 };
    for (; i < 64 && wide_less(sum[i], at); i++) {
        sum[i + 1] = wide_multiply(sum[i], wide_add(one, power_of[i]));
        power_of[i + 1] = wide_multiply(power_of[i], power_of[i]);
    }
    eden_wide start = { 0, 0 }, longer = { 1, 0 };
    for (; i >= 0; i--) {
        const eden_wide next = wide_add(start, wide_multiply(longer, sum[i]));
        if (!wide_less(next, at)) continue;
        start = next;
        longer = wide_multiply(longer, power_of[i]);
    }
    const eden_wide in = wide_add(at, (eden_wide){ -start.hi, -start.lo });
    const eden_wide length = wide_multiply(longer, (eden_wide){ n, 0 });
    const eden_wide rest = wide_add(length, (eden_wide){ -in.hi, -in.lo });
    *gone = in.hi;
    *left = rest.hi > 0 ? rest.hi : 0;
}
