/* test_codec_error.c - how far 8-bit state is from the numbers it stands for, by
 * trying every float: the figures of docs/storage.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "engine/codec.h"
#include "bits.h"

#define LARGEST 1.9375f /* 31/16, which makes the scale of a block 1 */

/* What a map has to be, from its definition: 4 bits of fraction, a least exponent
 * with numbers of full precision, and the quantum below it. */
typedef struct {
    unsigned codec;
    double normal, quantum;
    double below; /* the largest error below `normal`, in quanta */
} map;

static const map maps[] = {
    { EDEN_CODEC_SIGNED, 0x1p-6, 0x1p-10, 0.5 },
    { EDEN_CODEC_SQUARE, 0x1p-14, 0x1p-18, 1 }, /* above 0 nothing becomes 0 */
};

typedef struct { double relative, quanta; } errors;

/* The largest errors of `n` floats from `first` on, times `sign`. */
static errors measure(const map *m, uint32_t first, uint32_t n, float sign)
{
    const eden_codec *codec = &eden_codecs[eden_isa_best()][m->codec];
    float x[EDEN_BLOCK], y[EDEN_BLOCK], scale;
    uint8_t code[EDEN_BLOCK];
    errors worst = { 0, 0 };
    x[0] = LARGEST;
    for (uint32_t at = 0; at < n; at += EDEN_BLOCK - 1) {
        for (uint32_t i = 1; i < EDEN_BLOCK; i++) x[i] = sign * from_bits(first + (at + i <= n ? at + i - 1 : 0));
        codec->store(x, code, &scale, EDEN_BLOCK);
        codec->load(code, &scale, y, EDEN_BLOCK);
        if (scale != 1 || y[0] != LARGEST) fail_msg("the scale is %g", (double)scale);
        for (size_t i = 1; i < EDEN_BLOCK; i++) {
            const double size = fabs((double)x[i]), off = fabs((double)y[i] - (double)x[i]);
            if (size >= m->normal && off > worst.relative * size) worst.relative = off / size;
            if (size < m->normal && off > worst.quanta * m->quantum) worst.quanta = off / m->quantum;
        }
    }
    return worst;
}

/* With full precision the worst is the tie behind a power of 2: half of 1/16 in 33/32. */
static void test_normal(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const uint32_t first = to_bits((float)maps[i].normal);
        const errors e = measure(&maps[i], first, to_bits(LARGEST) - first + 1, 1);
        assert_true(e.relative == 1.0 / 33 && e.quanta == 0);
    }
}

/* Below, the quantum is fixed. Every float of 6 octaves, then every 4,099th. */
static void test_below(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const map *m = &maps[i];
        const uint32_t first = to_bits((float)ldexp(m->normal, -6)), end = to_bits((float)m->normal);
        const errors e = measure(m, first, end - first, 1);
        double worst = e.quanta;
        assert_true(e.relative == 0);
        for (uint32_t u = 1; u < first; u += 4099) {
            const double one = measure(m, u, 1, 1).quanta;
            worst = one > worst ? one : worst;
        }
        if (!(worst <= m->below && worst > m->below - 1e-3)) fail_msg("%g quanta", worst);
    }
}

/* A sign is one bit that changes no magnitude; -0 has it, too. */
static void test_sign(void **state)
{
    const map *m = &maps[0];
    float x[2] = { LARGEST, -0.0f }, y[2], scale;
    uint8_t code[2];
    (void)state;
    for (uint32_t u = to_bits(0x1p-14f); u < to_bits(LARGEST); u += 1u << 20) {
        const errors plus = measure(m, u, 1000, 1), minus = measure(m, u, 1000, -1);
        assert_memory_equal(&plus, &minus, sizeof plus);
    }
    eden_codecs[eden_isa_best()][m->codec].store(x, code, &scale, 2);
    eden_codecs[eden_isa_best()][m->codec].load(code, &scale, y, 2);
    assert_true(code[1] == 0x80 && y[1] == 0 && signbit(y[1]));
}

/* How far apart the largest and the least number of a block may be. */
static void test_range(void **state)
{
    static const double normal[] = { 124, 31744 }, all[] = { 1984, 507904 };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const map *m = &maps[i];
        float x[2] = { LARGEST, (float)m->quantum }, y[2], scale;
        uint8_t code[2];
        assert_true((double)LARGEST / m->normal == normal[i] && (double)LARGEST / m->quantum == all[i]);
        eden_codecs[0][m->codec].store(x, code, &scale, 2);
        eden_codecs[0][m->codec].load(code, &scale, y, 2);
        assert_true(code[0] == (i == 0 ? 127 : 255) && code[1] == 1 && y[0] == x[0] && y[1] == x[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
