/* test_convert.c - eden_convert() against the definition of the formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/core.h>
#include <math.h>
#include <string.h>

#include "fpu.h"

enum { ALL = 0x10000 };

static uint16_t codes[ALL + 1], back[ALL + 1];
static float floats[ALL + 1];

/* A 16-bit number by the definition: sign, `e` bits of exponent, the rest. The
 * place of infinity has the value that comes next there, so that distances to it
 * decide what overflows. */
static double value_of(uint32_t code, int e)
{
    const int m = 15 - e, bias = (1 << (e - 1)) - 1, exponent = (int)(code >> m & ((1u << e) - 1));
    const double fraction = code & ((1u << m) - 1), sign = code & 0x8000u ? -1 : 1;
    if (!exponent) return sign * ldexp(fraction, 1 - bias - m);
    return sign * ldexp(fraction + (1 << m), exponent - bias - m);
}

static uint32_t infinity_of(int e) { return ((1u << e) - 1) << (15 - e); }

/* The nearest code by distance, of two equally near ones the even one. */
static uint32_t nearest(double x, int e)
{
    uint32_t low = 0, high = infinity_of(e);
    const double a = fabs(x);
    const uint32_t sign = signbit(x) ? 0x8000u : 0;
    if (a >= value_of(high, e)) return sign | high;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (value_of(middle, e) <= a) low = middle;
        else high = middle;
    }
    const double below = a - value_of(low, e), above = value_of(high, e) - a;
    return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

static uint32_t random_bits(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return (uint32_t)(x >> 16);
}

static const struct { uint32_t dtype; int exponent; } formats[] = { { EDEN_BF16, 8 }, { EDEN_F16, 5 } };

/* All there are to floats, and back to the same bits. */
static void test_all(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        const int e = formats[k].exponent;
        for (uint32_t i = 0; i < ALL; i++) codes[i] = (uint16_t)i;
        assert_int_equal(eden_convert(floats, EDEN_F32, codes, formats[k].dtype, ALL), EDEN_OK);
        assert_int_equal(eden_convert(back, formats[k].dtype, floats, EDEN_F32, ALL), EDEN_OK);
        for (uint32_t i = 0; i < ALL; i++) {
            const uint32_t magnitude = i & 0x7fffu;
            if (magnitude > infinity_of(e)) {
                assert_true(isnan(floats[i]) && (back[i] & 0x7fffu) > infinity_of(e));
                continue;
            }
            assert_int_equal(back[i], i);
            if (magnitude == infinity_of(e)) assert_true(isinf(floats[i]));
            else assert_true((double)floats[i] == value_of(i, e));
            assert_true(!signbit(floats[i]) == !(i & 0x8000u));
        }
    }
}

/* Of floats with any bits, and near the edges of f16, the nearest; for counts that
 * are no whole blocks, and with nothing written behind them. */
static void test_nearest(void **state)
{
    static const uint64_t counts[] = { 0, 1, 2, 255, 256, 257, 1000, ALL };
    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (size_t i = 0; i < ALL; i++) {
                uint32_t u = random_bits();
                if (i % 3 == 0) u = (u & 0x80ffe000u) + 0x33000000u + (i % 9 ? 0 : 0x1000u);
                memcpy(&floats[i], &u, sizeof u);
            }
            back[counts[c]] = 0x7777;
            assert_int_equal(eden_convert(back, formats[k].dtype, floats, EDEN_F32, counts[c]), EDEN_OK);
            assert_int_equal(back[counts[c]], 0x7777);
            for (size_t i = 0; i < counts[c]; i++)
                if (isnan(floats[i])) assert_true((back[i] & 0x7fffu) > infinity_of(formats[k].exponent));
                else assert_int_equal(back[i], nearest((double)floats[i], formats[k].exponent));
        }
}

/* From one of 16 bits to the other, in place and not. */
static void test_in_place(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ALL; i++) codes[i] = back[i] = (uint16_t)i;
    assert_int_equal(eden_convert(back, EDEN_F16, back, EDEN_BF16, ALL), EDEN_OK);
    for (uint32_t i = 0; i < 0x7f80; i++) assert_int_equal(back[i], nearest(value_of(i, 8), 5));
    assert_int_equal(eden_convert(back, EDEN_BF16, codes, EDEN_F16, ALL), EDEN_OK);
    for (uint32_t i = 0; i < 0x7c00; i++) assert_int_equal(back[i], nearest(value_of(i, 5), 8));
    memcpy(back, codes, sizeof back);
    assert_int_equal(eden_convert(back, EDEN_F16, back, EDEN_F16, ALL), EDEN_OK);
    assert_memory_equal(back, codes, sizeof back);
}

/* The caller's modes change nothing and are not changed. */
static void test_modes(void **state)
{
    static uint16_t plain[ALL];
    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        const uint32_t u = i % 2 ? random_bits() : random_bits() & 0x807fffffu;
        memcpy(&floats[i], &u, sizeof u);
    }
    for (size_t k = 0; k < 2; k++)
        for (int down = 0; down < 2; down++) {
            assert_int_equal(eden_convert(plain, formats[k].dtype, floats, EDEN_F32, ALL), EDEN_OK);
            const uint64_t before = fpu_get();
            fpu_set(fpu_disturbed(down));
            const eden_status status = eden_convert(back, formats[k].dtype, floats, EDEN_F32, ALL);
            const uint64_t after = fpu_get();
            fpu_set(before);
            assert_int_equal(status, EDEN_OK);
            assert_true(after == fpu_disturbed(down));
            assert_memory_equal(plain, back, sizeof plain);
        }
}

static void test_refused(void **state)
{
    float to[8] = { 5, 5, 5, 5, 5, 5, 5, 5 };
    uint16_t from[16] = { 0 };
    unsigned char *const odd = (unsigned char *)from + 1;
    const struct { void *to; uint32_t to_dtype; const void *from; uint32_t from_dtype; uint64_t count; } bad[] = {
        { NULL, EDEN_F32, from, EDEN_BF16, 1 },     { to, EDEN_F32, NULL, EDEN_BF16, 1 },
        { to, EDEN_Q8, from, EDEN_BF16, 1 },        { to, EDEN_F32, from, EDEN_Q8, 1 },
        { to, 4, from, EDEN_BF16, 1 },              { to, EDEN_F32, odd, EDEN_F16, 1 },
        { odd, EDEN_F16, to, EDEN_F32, 1 },         { from + 1, EDEN_F32, to, EDEN_F32, 1 },
        { to, EDEN_BF16, to, EDEN_F32, 4 },         { to, EDEN_F32, to, EDEN_F16, 1 },
        { to, EDEN_F32, to + 1, EDEN_F32, 2 },      { to + 1, EDEN_F32, to, EDEN_F32, 2 },
        { to + 1, EDEN_BF16, to, EDEN_F32, 2 },     { from, EDEN_F16, from + 3, EDEN_BF16, 4 },
        { to, EDEN_F32, from, EDEN_BF16, UINT64_MAX }, { to, EDEN_F32, from, EDEN_F16, UINT64_MAX / 4 + 2 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* The one that is misaligned in floats may happen not to be. */
        if (i == 7 && (uintptr_t)bad[i].to % sizeof(float) == 0) continue;
        assert_int_equal(eden_convert(bad[i].to, bad[i].to_dtype, bad[i].from, bad[i].from_dtype,
                                      bad[i].count), EDEN_E_ARGUMENT);
        for (size_t k = 0; k < 8; k++) assert_true(to[k] == 5);
        for (size_t k = 0; k < 16; k++) assert_true(from[k] == 0);
    }
    assert_int_equal(eden_convert(NULL, EDEN_F32, NULL, EDEN_BF16, 0), EDEN_OK);
    assert_int_equal(eden_convert(to, EDEN_F32, to + 2, EDEN_F32, 2), EDEN_OK); /* side by side */
    assert_int_equal(eden_convert(to + 2, EDEN_BF16, to, EDEN_F32, 2), EDEN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),   cmocka_unit_test(test_nearest), cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_modes), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
