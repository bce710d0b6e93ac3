/* test_codec.c - every number that 16 or 8 bits can store, and what rounds to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "engine/codec.h"
#include "bits.h"

static const eden_codec *codec; /* of the instruction set being tested */
static const eden_weights_codec *weights;

static uint64_t random_bits(void)
{
    static uint64_t x = 88172645463325252u;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return x;
}

static double chance(void) { return (double)(random_bits() >> 11) * 0x1p-53; }

/* ---- 16 bits -------------------------------------------------------------------- */

/* The value of 16 bits by the definition: sign, `e` bits of exponent, the rest. */
static double value_of(uint32_t h, int e)
{
    const int m = 15 - e, bias = (1 << (e - 1)) - 1;
    const int exponent = (int)(h >> m & ((1u << e) - 1));
    const double fraction = h & ((1u << m) - 1), sign = h & 0x8000u ? -1 : 1;
    if (exponent == (1 << e) - 1) return fraction != 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - m);
    return sign * ldexp(fraction + (1 << m), exponent - bias - m);
}

static uint16_t store_one(unsigned c, float x)
{
    uint16_t h;
    codec[c].store(&x, &h, NULL, 1);
    return h;
}

/* All 65,536 values in; out, each of them, both neighbours of each midpoint, and
 * the midpoint itself. */
static void check_16(unsigned c, int e)
{
    const uint32_t infinity = ((1u << e) - 1) << (15 - e);
    for (uint32_t h = 0; h < 0x10000; h++) {
        const uint16_t in = (uint16_t)h;
        float got;
        codec[c].load(&in, NULL, &got, 1);
        const double want = value_of(h, e);
        if (isnan(want)) {
            assert_true(isnan(got));
            const uint16_t back = store_one(c, got);
            assert_true(isnan(value_of(back, e)) && (back & 0x8000u) == (h & 0x8000u));
            continue;
        }
        assert_true((double)got == want && !signbit(got) == !signbit(want));
        assert_int_equal(store_one(c, got), h);
        if ((h & 0x7fffu) >= infinity) continue;
        /* Past the last number the next would be infinity's stand-in, one quantum on. */
        const double next = (h & 0x7fffu) + 1 == infinity
                                ? want + (want - value_of(h - 1, e))
                                : value_of(h + 1, e);
        const float middle = (float)((want + next) / 2);
        assert_true((double)middle == (want + next) / 2);
        const float away = copysignf(INFINITY, middle);
        assert_int_equal(store_one(c, middle), h & 1 ? h + 1 : h);
        assert_int_equal(store_one(c, nextafterf(middle, 0)), h);
        assert_int_equal(store_one(c, nextafterf(middle, away)), h + 1);
    }
    assert_int_equal(store_one(c, 3.4e38f), infinity);
    assert_int_equal(store_one(c, -INFINITY), infinity | 0x8000u);
    assert_int_equal(store_one(c, -0.0f), 0x8000u);
    assert_int_equal(store_one(c, from_bits(1)), 0);
    assert_true(isnan(value_of(store_one(c, from_bits(0x7f800001u)), e))); /* a signalling NaN */
    assert_true(isnan(value_of(store_one(c, from_bits(0xffffffffu)), e)));
}

static void test_bf16(void **state)
{
    (void)state;
    check_16(EDEN_CODEC_BF16, 8);
}

static void test_f16(void **state)
{
    (void)state;
    check_16(EDEN_CODEC_F16, 5);
}

/* ---- 8 bits ----------------------------------------------------------------------- */

/* The value of a code, in units of the scale. */
static double code_value(unsigned c, unsigned code)
{
    const unsigned e = c == EDEN_CODEC_SIGNED ? code >> 4 & 7 : code >> 4, m = code & 15;
    const int lowest = c == EDEN_CODEC_SIGNED ? -10 : -18;
    const double magnitude = e ? ldexp(16 + m, (int)e - 1 + lowest) : ldexp(m, lowest);
    return c == EDEN_CODEC_SIGNED && code & 0x80 ? -magnitude : magnitude;
}

/* By trying all: the nearest code, of two equally near ones the even one. */
static unsigned nearest_code(unsigned c, double y, int positive)
{
    unsigned best = 0;
    for (unsigned code = 1; code < 256; code++) {
        const double d = fabs(code_value(c, code) - y), least = fabs(code_value(c, best) - y);
        if (d < least || (d == least && code % 2 == 0 && best % 2 == 1)) best = code;
    }
    if (c == EDEN_CODEC_SQUARE && best == 0 && positive) best = 1;
    return best;
}

static float sample(unsigned c, int kind)
{
    const double sign = c == EDEN_CODEC_SIGNED && chance() < 0.5 ? -1 : 1;
    if (kind == 0) return (float)(sign * chance());
    if (kind == 1) return (float)(sign * exp(-25 * chance()));
    if (kind == 2) return chance() < 0.9 ? 0 : (float)(sign * chance());
    return (float)(sign * ldexp(chance(), (int)(random_bits() % 200) - 100));
}

static void check_8(unsigned c)
{
    for (int round = 0; round < 400; round++) {
        const size_t n = round % 7 ? EDEN_BLOCK : 1 + random_bits() % EDEN_BLOCK;
        float x[EDEN_BLOCK], y[EDEN_BLOCK], scale, largest = 0;
        uint8_t code[EDEN_BLOCK];
        for (size_t i = 0; i < n; i++) {
            x[i] = sample(c, round % 4);
            if (fabsf(x[i]) > largest) largest = fabsf(x[i]);
        }
        codec[c].store(x, code, &scale, n);
        codec[c].load(code, &scale, y, n);
        const float factor = 1 / scale;
        for (size_t i = 0; i < n; i++) {
            const unsigned want = nearest_code(c, (double)(x[i] * factor), x[i] > 0);
            if (want == 0) assert_int_equal(code[i] & 0x7f, 0);
            else assert_int_equal(code[i], want);
            assert_true((double)y[i] == (double)((float)code_value(c, code[i]) * scale));
        }
        /* The largest survives to two roundings, so that a block can shrink slowly. */
        for (size_t i = 0; i < n && largest > 0x1p-120f; i++)
            if (fabsf(x[i]) == largest) assert_true(fabsf(y[i] - x[i]) <= largest * 0x1p-22f);
    }
}

static void test_signed(void **state)
{
    (void)state;
    check_8(EDEN_CODEC_SIGNED);
}

static void test_square(void **state)
{
    (void)state;
    check_8(EDEN_CODEC_SQUARE);
}

static void test_8_edges(void **state)
{
    float x[EDEN_BLOCK] = { 0 }, y[EDEN_BLOCK], scale;
    uint8_t code[EDEN_BLOCK];
    (void)state;
    for (unsigned c = EDEN_CODEC_SIGNED; c <= EDEN_CODEC_SQUARE; c++) {
        memset(x, 0, sizeof x);
        codec[c].store(x, code, &scale, EDEN_BLOCK);
        codec[c].load(code, &scale, y, EDEN_BLOCK);
        for (size_t i = 0; i < EDEN_BLOCK; i++) assert_true(y[i] == 0);
        x[7] = from_bits(1); /* the least denormal does not disturb */
        codec[c].store(x, code, &scale, EDEN_BLOCK);
        assert_true(isfinite(scale) && scale > 0 && code[6] == 0);
        x[9] = INFINITY; /* and nothing bad is hidden */
        codec[c].store(x, code, &scale, EDEN_BLOCK);
        codec[c].load(code, &scale, y, EDEN_BLOCK);
        assert_true(!isfinite(y[9]) && y[9] > 0);
        x[9] = -INFINITY;
        codec[c].store(x, code, &scale, EDEN_BLOCK);
        codec[c].load(code, &scale, y, EDEN_BLOCK);
        assert_true(c == EDEN_CODEC_SQUARE || y[9] == -INFINITY);
        x[9] = NAN;
        codec[c].store(x, code, &scale, EDEN_BLOCK);
        codec[c].load(code, &scale, y, EDEN_BLOCK);
        assert_true(isnan(y[9]));
    }
    /* Above 0 stays above 0 as a divisor. */
    x[9] = 1, x[7] = 1e-30f;
    codec[EDEN_CODEC_SQUARE].store(x, code, &scale, EDEN_BLOCK);
    codec[EDEN_CODEC_SQUARE].load(code, &scale, y, EDEN_BLOCK);
    assert_true(y[7] > 0 && y[6] == 0);
}

/* ---- weights ------------------------------------------------------------------------ */

static void test_split(void **state)
{
    static const uint32_t lows[] = { 0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234, 0xabcd };
    (void)state;
    for (uint32_t top = 0; top < 0x10000; top++)
        for (size_t k = 0; k < sizeof lows / sizeof *lows; k++) {
            const float x = from_bits(top << 16 | lows[k]);
            uint16_t high, low;
            float back;
            weights->store_split(&x, &high, &low, 1);
            weights->load_split(&high, &low, &back, 1);
            if (isnan(x)) {
                assert_true(isnan(back) && isnan(from_bits((uint32_t)high << 16)));
                continue;
            }
            assert_int_equal(to_bits(back), to_bits(x));
            /* What a model sees is the nearest bf16. */
            assert_int_equal(high, (uint16_t)((to_bits(x) + 0x8000u) >> 16));
        }
}

/* The mean over many keys is the value, and each result is a neighbour of it. */
static void check_stochastic(unsigned c, int e, float x)
{
    const int many = 20000;
    double sum = 0, low = INFINITY, high = -INFINITY;
    for (int k = 0; k < many; k++) {
        uint16_t h;
        weights->store_stochastic(c, &x, &h, (uint64_t)k * 0x9e3779b97f4a7c15u, 5, 1);
        const double got = value_of(h, e);
        sum += got / many;
        low = fmin(low, got), high = fmax(high, got);
    }
    const double quantum = high - low;
    assert_true(low <= (double)x && (double)x <= high);
    if (quantum == 0) {
        assert_true(low == (double)x || fabs(low - (double)x) < fabs((double)x) * 1e-3);
        return;
    }
    const double share = ((double)x - low) / quantum;
    if (fabs((sum - (double)x) / quantum) > 5 * sqrt(share * (1 - share) / many) + 1e-3)
        fail_msg("%a: the mean is %a", (double)x, sum);
    uint16_t one = store_one(c, (float)low), two = store_one(c, (float)high);
    assert_int_equal(one > two ? one - two : two - one, 1);
}

static void test_stochastic(void **state)
{
    static const float values[] = { 1.0f,  1.001f, -3.14159f, 1e-3f,   65000.0f, 6.1e-5f,
                                    3e-5f, 1e-7f,  -1e-6f,    0.9999f, 2.0e-8f,  0.333333f };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        check_stochastic(EDEN_CODEC_BF16, 8, values[i]);
        check_stochastic(EDEN_CODEC_F16, 5, values[i]);
    }
    /* Exact values stay, and a finite one never becomes infinite. */
    for (uint32_t h = 0; h < 0x10000; h++)
        for (unsigned c = EDEN_CODEC_BF16; c <= EDEN_CODEC_F16; c++) {
            const uint16_t in = (uint16_t)h;
            uint16_t out;
            float x;
            codec[c].load(&in, NULL, &x, 1);
            weights->store_stochastic(c, &x, &out, h, 0, 1);
            if (!isnan(x)) assert_int_equal(out, in);
        }
    for (uint64_t key = 0; key < 1000; key++) {
        const float most = 3.402823466e38f;
        uint16_t h;
        weights->store_stochastic(EDEN_CODEC_BF16, &most, &h, key, 0, 1);
        assert_true(isfinite(value_of(h, 8)));
    }
}

/* The same element has the same chance however blocks are cut. */
static void test_stochastic_blocks(void **state)
{
    float x[EDEN_BLOCK];
    uint16_t whole[EDEN_BLOCK], part[EDEN_BLOCK];
    (void)state;
    for (size_t i = 0; i < EDEN_BLOCK; i++) x[i] = (float)chance();
    weights->store_stochastic(EDEN_CODEC_BF16, x, whole, 42, 1000, EDEN_BLOCK);
    for (size_t i = 0; i < EDEN_BLOCK; i += 32)
        weights->store_stochastic(EDEN_CODEC_BF16, x + i, part + i, 42, 1000 + i, 32);
    assert_memory_equal(whole, part, sizeof whole);
    weights->store_stochastic(EDEN_CODEC_BF16, x, part, 43, 1000, EDEN_BLOCK);
    assert_memory_not_equal(whole, part, sizeof whole);
}

/* Ten thousand steps, each too small to move a weight by itself. */
static void test_kahan(void **state)
{
    (void)state;
    for (unsigned c = EDEN_CODEC_BF16; c <= EDEN_CODEC_F16; c++) {
        uint16_t h = store_one(c, 1), lost = 0, plain = h;
        float now;
        for (int i = 0; i < 10000; i++) {
            codec[c].load(&h, NULL, &now, 1);
            now += 1e-5f;
            weights->store_kahan(c, &now, &h, &lost, 1);
            codec[c].load(&plain, NULL, &now, 1);
            plain = store_one(c, now + 1e-5f);
        }
        codec[c].load(&h, NULL, &now, 1);
        assert_true(fabsf(now - 1.1f) < 0.01f);
        codec[c].load(&plain, NULL, &now, 1);
        assert_true(now == 1);
    }
}

/* ---- all instruction sets ------------------------------------------------------------- */

#define KINDS 64
static void test_same_bits(void **state)
{
    static float x[KINDS][EDEN_BLOCK];
    (void)state;
    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; i < EDEN_BLOCK; i++)
            x[k][i] = k % 8 ? sample(EDEN_CODEC_SIGNED, k % 4) : from_bits((uint32_t)random_bits());
    for (size_t isa = 1; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        for (int k = 0; k < KINDS; k++)
            for (unsigned c = 0; c < EDEN_CODEC_COUNT; c++) {
                float a[EDEN_BLOCK] = { 0 }, b[EDEN_BLOCK] = { 0 }, sa = 0, sb = 0;
                float ya[EDEN_BLOCK], yb[EDEN_BLOCK];
                const size_t n = EDEN_BLOCK - (size_t)k;
                if (k % 8 == 0 && c >= EDEN_CODEC_SIGNED) continue; /* NaN has no one scale */
                eden_codecs[0][c].store(x[k], a, &sa, n);
                eden_codecs[isa][c].store(x[k], b, &sb, n);
                assert_memory_equal(a, b, sizeof a);
                assert_memory_equal(&sa, &sb, sizeof sa);
                eden_codecs[0][c].load(a, &sa, ya, n);
                eden_codecs[isa][c].load(a, &sa, yb, n);
                assert_memory_equal(ya, yb, n * sizeof *ya);
            }
    }
}

static int each_isa(void **state)
{
    codec = eden_codecs[(size_t)(uintptr_t)*state];
    weights = eden_weights_codecs[(size_t)(uintptr_t)*state];
    return 0;
}

int main(void)
{
    int failed = 0;
    for (uintptr_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        void *state = (void *)isa;
        each_isa(&state);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bf16),       cmocka_unit_test(test_f16),
            cmocka_unit_test(test_signed),     cmocka_unit_test(test_square),
            cmocka_unit_test(test_8_edges),    cmocka_unit_test(test_split),
            cmocka_unit_test(test_stochastic), cmocka_unit_test(test_stochastic_blocks),
            cmocka_unit_test(test_kahan),      cmocka_unit_test(test_same_bits),
        };
        failed += cmocka_run_group_tests_name(eden_isa_name(isa), tests, NULL, NULL);
    }
    return failed;
}
