/* test_codec_bits.c - codes bit by bit: NaN, blocks that hold one, scales, and chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "engine/codec.h"
#include "engine/number.h"
#include "bits.h"

static const eden_codec *codec; /* of the instruction set being tested */
static const eden_weights_codec *weights;

/* ---- NaN -------------------------------------------------------------------------- */

/* IEEE 754 leaves to implementations what a narrower NaN keeps; all processors keep the
 * sign and the upper bits of the payload, and set the highest, which quiets it. */
static uint16_t narrow_nan(uint32_t u, int mantissa)
{
    const uint32_t payload = u & 0x7fffffu, quiet = 1u << (mantissa - 1);
    return (uint16_t)((u >> 16 & 0x8000u) | (0x7fffu >> mantissa << mantissa) | payload >> (23 - mantissa) | quiet);
}

static void test_nan(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 23; bit++)
        for (uint32_t kind = 0; kind < 4; kind++) {
            const uint32_t u = 0x7f800000u | 1u << bit | (kind & 1) << 31 | (kind & 2) << 21;
            float many[64];
            uint16_t half[64], bf16 = 0, high = 0, low = 1, by_chance = 0;
            for (size_t i = 0; i < 64; i++) many[i] = from_bits(u);
            codec[EDEN_CODEC_F16].store(many, half, NULL, 63); /* by the processor, and alone */
            assert_int_equal(half[0], narrow_nan(u, 10));
            assert_int_equal(half[62], narrow_nan(u, 10));
            assert_int_equal(to_f16(many[0]), narrow_nan(u, 10));
            codec[EDEN_CODEC_BF16].store(many, &bf16, NULL, 1);
            assert_int_equal(bf16, narrow_nan(u, 7));
            weights->store_split(many, &high, &low, 1);
            assert_int_equal(high, narrow_nan(u, 7));
            assert_int_equal(low, 0);
            weights->store_stochastic(EDEN_CODEC_BF16, many, &by_chance, bit, kind, 1);
            assert_int_equal(by_chance, narrow_nan(u, 7));
            weights->store_stochastic(EDEN_CODEC_F16, many, &by_chance, bit, kind, 1);
            assert_int_equal(by_chance, narrow_nan(u, 10));
        }
}

/* ---- 8 bits ------------------------------------------------------------------------- */

/* Beside an infinity or a NaN what is finite is next to nothing: 0 with its sign, but of
 * a square that is above 0 the least code. */
static void test_spoilt(void **state)
{
    static const float bad[] = { INFINITY, -INFINITY, NAN };
    static const float good[] = { 0, -0.0f, 0.25f, -0.5f, 1, -2, 1e-30f, 3e38f, -1e-44f, 1e-44f };
    enum { GOOD = sizeof good / sizeof *good };
    (void)state;
    for (size_t b = 0; b < 3; b++)
        for (size_t n = EDEN_BLOCK - 1; n <= EDEN_BLOCK; n++) {
            float x[EDEN_BLOCK], scale;
            uint8_t code[EDEN_BLOCK];
            for (size_t i = 0; i < n; i++) x[i] = good[i % GOOD];
            x[77] = bad[b];
            codec[EDEN_CODEC_SIGNED].store(x, code, &scale, n);
            assert_true(!isfinite(scale));
            for (size_t i = 0; i < n; i++)
                if (i != 77) assert_int_equal(code[i], signbit(x[i]) ? 0x80 : 0);
            assert_int_equal(code[77] & 0x7f, 0x7f);
            if (b < 2) assert_int_equal(code[77], b ? 0xff : 0x7f);
            for (size_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
            codec[EDEN_CODEC_SQUARE].store(x, code, &scale, n);
            assert_true(!isfinite(scale));
            for (size_t i = 0; i < n; i++) assert_int_equal(code[i], i == 77 ? 0x7f : x[i] > 0);
        }
}

/* Each block has the scale of its own largest, which is code 127 or 255; with others it
 * is stored as alone. */
static void test_many_blocks(void **state)
{
    enum { N = 5 * EDEN_BLOCK + 17, BLOCKS = 6 };
    float x[N];
    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = ldexpf(1 + (float)(mix(i) % 1000) / 1000, (int)(i / EDEN_BLOCK * 7) - (int)(mix(i + 5) % 9));
    for (unsigned c = EDEN_CODEC_SIGNED; c <= EDEN_CODEC_SQUARE; c++) {
        float scale[BLOCKS + 1], alone;
        uint8_t all[N], one[EDEN_BLOCK];
        scale[BLOCKS] = 77;
        codec[c].store(x, all, scale, N);
        assert_true(scale[BLOCKS] == 77);
        for (size_t b = 0; b < BLOCKS; b++) {
            const size_t first = b * EDEN_BLOCK, n = N - first < EDEN_BLOCK ? N - first : EDEN_BLOCK;
            double largest = 0;
            for (size_t i = first; i < first + n; i++) largest = fmax(largest, (double)x[i]);
            assert_true(fabs((double)scale[b] / (largest * 16 / 31) - 1) < 1e-6);
            codec[c].store(x + first, one, &alone, n);
            assert_true(alone == scale[b]);
            assert_memory_equal(one, all + first, n);
        }
    }
}

/* ---- chance ---------------------------------------------------------------------------- */

/* The finalizers by which chance is defined, as in test_engine.c. */
static uint64_t mix13(uint64_t x)
{
    x ^= x >> 30, x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27, x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint32_t lowbias32(uint32_t x)
{
    x ^= x >> 16, x *= UINT32_C(0x7feb352d);
    x ^= x >> 15, x *= UINT32_C(0x846ca68b);
    return x ^ (x >> 16);
}

/* The code of a positive f16 by the definition: what a number has above the next code
 * below it, in parts of the distance to the one above, joins the chance, of 13 bits or,
 * where the quantum is fixed, of 16; together 1 is one code up. */
static uint32_t half_of(double x, uint32_t random)
{
    if (x < 0x1p-14) {
        const double units = x * 0x1p24, whole = floor(units);
        return (uint32_t)whole + (units - whole > (double)(random & 0xffff) / 0x10000);
    }
    int exponent;
    const double units = ldexp(frexp(x, &exponent), 11), whole = floor(units);
    const int up = units - whole + (double)(random & 0x1fff) / 0x2000 >= 1;
    return (uint32_t)((exponent + 14) * 1024 + (int)whole - 1024 + up);
}

/* Just beside the ends of the range with a fixed quantum and of all numbers, with so many
 * chances that each of 13 bits is among them, the same whether alone or in a block. */
static void test_chance_at_edges(void **state)
{
    static const uint32_t edges[] = { 0x387fffffu, 0x38800000u, 0x38800001u, 0x387fe000u, 0x38801fffu,
                                      0x477fdfffu, 0x477fe000u, 0x477fc001u, 0x3f800001u, 0x33800001u };
    enum { MANY = 1 << 18 };
    const uint64_t key = 42, begin = UINT64_C(0xfffe1234);
    float x[64];
    uint16_t h[64];
    (void)state;
    for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
        const double value = (double)from_bits(edges[e]);
        for (size_t i = 0; i < 64; i++) x[i] = i % 2 ? -from_bits(edges[e]) : from_bits(edges[e]);
        for (uint64_t at = begin; at < begin + MANY; at += 64) {
            if (at >> 32 != (at + 63) >> 32) continue; /* a block lies on one side */
            weights->store_stochastic(EDEN_CODEC_F16, x, h, key, at, 64);
            const uint32_t seed = (uint32_t)mix13(key ^ mix13(at >> 32));
            for (size_t i = 0; i < 64; i++) {
                const uint32_t random = lowbias32((uint32_t)(at + i) ^ seed);
                const uint32_t want = half_of(value, random) | (i % 2 ? 0x8000u : 0);
                if (h[i] != want) fail_msg("%08x, chance %08x: %04x, not %04x", edges[e], random, h[i], want);
            }
        }
    }
}

static void each_isa(size_t isa)
{
    codec = eden_codecs[isa];
    weights = eden_weights_codecs[isa];
}

int main(void)
{
    int failed = 0;
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        each_isa(isa);
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nan),
            cmocka_unit_test(test_spoilt),
            cmocka_unit_test(test_many_blocks),
            cmocka_unit_test(test_chance_at_edges),
        };
        failed += cmocka_run_group_tests_name(eden_isa_name(isa), tests, NULL, NULL);
    }
    return failed;
}
