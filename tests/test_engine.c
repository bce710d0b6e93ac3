/* test_engine.c - what the engine answers about a rule, refuses, and leaves alone; and
 * that a step is the same however its arrays are stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <math.h>
#include <stdio.h>

#include "engine/codec.h"
#include "tests/bits.h"
#include "tests/rule_tensor.h"

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

static const eden_rule *defaults(const char *name, double *hypers)
{
    const eden_rule *rule = eden_rule_find(name, NULL);
    assert_int_equal(eden_rule_defaults(rule, hypers, ROOM), EDEN_OK);
    return rule;
}

static void put(const eden_rule *rule, double *hypers, const char *name, double value)
{
    hypers[eden_rule_hyper_index(rule, name)] = value;
}

/* ---- answers -------------------------------------------------------------------------- */

/* Bits are in the order of slots: weights, gradient, then the rule's own. */
static void check_traffic(const eden_rule *rule, const double *hypers, eden_extent x, const uint32_t (*want)[2])
{
    size_t i = 0;
    for (; want[i][0]; i++) {
        uint32_t reads = 0, writes = 0;
        assert_int_equal(eden_rule_traffic(rule, i, hypers, x, &reads, &writes), 1);
        assert_int_equal(reads, want[i][0]);
        assert_int_equal(writes, want[i][1]);
    }
    uint32_t reads = 77, writes = 78;
    for (size_t past = i; past < i + 20; past++)
        assert_int_equal(eden_rule_traffic(rule, past, hypers, x, &reads, &writes), 0);
    assert_int_equal(eden_rule_traffic(NULL, 0, hypers, x, &reads, &writes), 0);
    assert_int_equal(eden_rule_traffic(rule, 0, NULL, x, &reads, &writes), 0);
    assert_int_equal(eden_rule_traffic(rule, 0, hypers, x, NULL, &writes), 0);
    assert_int_equal(eden_rule_traffic(rule, 0, hypers, x, &reads, NULL), 0);
    assert_true(reads == 77 && writes == 78);
}

static void test_traffic(void **state)
{
    const eden_extent vector = { 100, 1, 100, 0 }, matrix = { 100, 10, 10, 0 };
    double h[ROOM];
    (void)state;
    /* p, g, m, v: all read, all but g written. */
    const eden_rule *rule = defaults("adam", h);
    check_traffic(rule, h, vector, (const uint32_t[][2]){ { 15, 13 }, { 0, 0 } });
    /* The moments with their norms, one step for the tensor, then p by m and v. */
    rule = defaults("lamb", h);
    check_traffic(rule, h, vector, (const uint32_t[][2]){ { 15, 12 }, { 13, 1 }, { 0, 0 } });
    /* Sums of rows and columns; the update measured; the step. Then with a v, slot 4. */
    rule = defaults("adafactor", h);
    check_traffic(rule, h, matrix, (const uint32_t[][2]){ { 3, 0 }, { 2, 0 }, { 3, 1 }, { 0, 0 } });
    check_traffic(rule, h, vector, (const uint32_t[][2]){ { 19, 16 }, { 19, 1 }, { 0, 0 } });
    /* p, g, b; the programs before and back are no part of a step. */
    rule = defaults("sgd", h);
    check_traffic(rule, h, vector, (const uint32_t[][2]){ { 3, 1 }, { 0, 0 } });
    put(rule, h, "momentum", 0.9), put(rule, h, "lookahead", 1);
    check_traffic(rule, h, vector, (const uint32_t[][2]){ { 7, 5 }, { 0, 0 } });
}

/* Two sums for the tensor with a part for each chunk of 16384, and a number, each from
 * an address of its own that is a multiple of 64. */
static void test_work_bytes(void **state)
{
    static const struct { uint64_t count, bytes; } sizes[] = {
        { 0, 3 * 64 }, { 1, 5 * 64 }, { 16384, 5 * 64 }, { 8 * 16384, 5 * 64 }, { 8 * 16384 + 1, 3 * 64 + 2 * 128 },
        { 16 * 16384 + 1, 3 * 64 + 2 * 192 },
    };
    double h[ROOM];
    const eden_rule *rule = defaults("lamb", h);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const eden_extent x = { sizes[i].count, 1, sizes[i].count, 0 };
        assert_int_equal(eden_rule_work_bytes(rule, h, x), sizes[i].bytes);
        assert_int_equal(eden_rule_state_bytes(rule, h, x), sizes[i].count * 8);
    }
    rule = defaults("adam", h);
    assert_int_equal(eden_rule_work_bytes(rule, h, (eden_extent){ 1 << 20, 1, 1 << 20, 0 }), 0);
    /* 300 x 200 in panels of 82 rows, the least of a chunk: 4. Rows, columns and their
     * factors, and sums in parts: 200 columns for each panel, 1 for it or for a chunk of
     * rows. */
    rule = defaults("adafactor", h);
    const uint64_t want = 2432 + (1600 + 6400) + 3 * (64 + 64) + 1216 + 832 + 2 * 64;
    assert_int_equal(eden_rule_work_bytes(rule, h, (eden_extent){ 60000, 300, 200, 0 }), want);
    assert_int_equal(eden_rule_state_bytes(rule, h, (eden_extent){ 60000, 300, 200, 0 }), 500 * 4);
    /* Two rows are factored, too; of a vector there are two sums and two numbers. */
    assert_int_equal(eden_rule_state_bytes(rule, h, (eden_extent){ 10, 2, 5, 0 }), 7 * 4);
    assert_int_equal(eden_rule_work_bytes(rule, h, (eden_extent){ 100, 1, 100, 0 }), 2 * (64 + 64) + 2 * 64);
    /* What cannot be counted. */
    const eden_extent endless = { UINT64_MAX, UINT64_MAX, 1, 0 };
    assert_true(eden_rule_work_bytes(rule, h, endless) == UINT64_MAX);
    const eden_extent barely = { (UINT64_C(1) << 61) - 1, (UINT64_C(1) << 61) - 1, 1, 0 };
    assert_true(eden_rule_work_bytes(rule, h, barely) == UINT64_MAX);
    const eden_extent wide = { UINT64_C(1) << 61, 64, UINT64_C(1) << 55, 0 };
    assert_true(eden_rule_work_bytes(rule, h, wide) == UINT64_MAX);
    assert_int_equal(eden_rule_slot_length(rule, 2, NULL, wide), 0);
    assert_int_equal(eden_rule_state_bytes(NULL, h, wide), 0);
}

/* Nothing is written before or behind the workspace, the arrays, or a tensor of 0. */
static void test_bounds(void **state)
{
    static const uint64_t shapes[][2] = { { 0, 0 }, { 0, 5 }, { 5, 0 }, { 1, 1 }, { 7, 3 }, { 300, 200 } };
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const eden_extent x = { shapes[i][0] * shapes[i][1], shapes[i][0], shapes[i][1], 0 };
            double h[ROOM];
            tensor a;
            tensor_init(&a, eden_rule_at(r), (defaults(eden_rule_name(eden_rule_at(r)), h), h), x);
            const size_t bytes = (size_t)a.call.work_bytes;
            unsigned char *room = NULL;
            assert_int_equal(posix_memalign((void **)&room, 64, bytes + 128), 0);
            memset(room, 0xa5, bytes + 128);
            free(a.call.work);
            a.call.work = room + 64;
            for (uint64_t k = 0; k < x.count; k++) a.grad[k] = 1;
            tensor_step(&a, 1);
            for (size_t k = 0; k < 64; k++) assert_true(room[k] == 0xa5 && room[64 + bytes + k] == 0xa5);
            a.call.work = room;
            tensor_free(&a);
        }
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void refuses(const eden_rule_call *call, eden_status want, size_t culprit)
{
    size_t index = 12345;
    assert_int_equal(eden_rule_step(call, &index), want);
    assert_true(index == culprit);
    assert_int_equal(eden_rule_step(call, NULL), want);
}

static void test_refused_calls(void **state)
{
    double h[ROOM];
    const eden_rule *rule = defaults("lamb", h);
    const eden_extent x = { 4, 1, 4, 0 };
    tensor a;
    (void)state;
    tensor_init(&a, rule, h, x);
    a.call.step = 1;
    const eden_rule_call good = a.call;
    eden_rule_call c = good;
    refuses(NULL, EDEN_E_ARGUMENT, SIZE_MAX);
    c.size--, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.rule = NULL, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.hypers = NULL, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.step = 0, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.isa = eden_isa_count(), refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.param = NULL, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.grad = NULL, refuses(&c, EDEN_E_ARGUMENT, SIZE_MAX), c = good;
    c.extent.count = 5, refuses(&c, EDEN_E_SHAPE, 12345), c = good;
    c.extent = (eden_extent){ 0, UINT64_C(1) << 32, UINT64_C(1) << 32, 0 };
    refuses(&c, EDEN_E_SHAPE, 12345), c = good;
    c.extent = (eden_extent){ SIZE_MAX / 8 + 1, 1, SIZE_MAX / 8 + 1, 0 };
    refuses(&c, EDEN_E_SHAPE, 12345), c = good;
    c.states = 1, refuses(&c, EDEN_E_ARGUMENT, 1), c = good;
    c.states = 3, refuses(&c, EDEN_E_ARGUMENT, 2), c = good;
    c.state = NULL, refuses(&c, EDEN_E_ARGUMENT, 0), c = good;
    a.state[1] = NULL, refuses(&c, EDEN_E_ARGUMENT, 1), a.state[1] = a.array[2];
    c.work = NULL, refuses(&c, EDEN_E_WORKSPACE, 12345), c = good;
    c.work_bytes--, refuses(&c, EDEN_E_WORKSPACE, 12345), c = good;
    c.work = (char *)c.work + 32, refuses(&c, EDEN_E_WORKSPACE, 12345), c = good;
    a.hypers[1] = 1, refuses(&c, EDEN_E_VALUE, 1), a.hypers[1] = h[1];
    for (int i = 0; i < 4; i++) assert_true(a.array[0][i] == 0);
    assert_int_equal(eden_rule_step(&c, NULL), EDEN_OK);
    tensor_free(&a);
}

/* ---- however it is stored ------------------------------------------------------------------ */

enum { MOST = 1200 * 3 };

/* The first step, whose gradients fit bf16 and whose state begins at 0: how state is
 * stored shows only where a later pass reads what an earlier one wrote. */
static void first_step(const char *rule, const uint64_t shape[2], uint32_t grad, uint32_t kept, int how, float *w)
{
    static float g[MOST];
    static uint16_t narrow[MOST], copy[MOST];
    const uint64_t n = shape[0] * shape[1];
    eden_config c = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    c.zero_grad = how & 1;
    c.average = how & 2 ? EDEN_SWA : EDEN_NO_AVERAGE;
    for (uint64_t i = 0; i < n; i++) w[i] = 1 + (float)(mix(i) % 64) / 64, g[i] = (float)(mix(i + 9) % 31) / 8 - 2;
    assert_int_equal(eden_convert(narrow, EDEN_BF16, g, EDEN_F32, n), EDEN_OK);
    eden_tensor t = eden_matrix(w, grad == EDEN_F32 ? g : NULL, shape[0], shape[1]);
    if (grad != EDEN_F32) t.grad = narrow;
    t.grad_dtype = grad, t.state_dtype = kept;
    if (how & 4) t.copy = copy, t.copy_dtype = EDEN_F16;
    OK(eden_optimizer_create(&o, rule, &c, error));
    if (strcmp(rule, "adafactor") == 0) OK(eden_set(o, NULL, "beta1", 0.5, error)); /* so that m is kept */
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    for (uint64_t i = 0; i < n && c.zero_grad; i++) assert_true(grad == EDEN_F32 ? g[i] == 0 : narrow[i] == 0);
    eden_optimizer_destroy(o);
}

static void test_first_steps(void **state)
{
    static const uint64_t shapes[][2] = { { 1, 3600 }, { 1200, 3 }, { 3, 1200 }, { 60, 60 }, { 7, 500 } };
    static const uint32_t kept[] = { EDEN_F32, EDEN_BF16, EDEN_F16 };
    static float plain[MOST], other[MOST], before[MOST];
    (void)state;
    for (uint64_t i = 0; i < MOST; i++) before[i] = 1 + (float)(mix(i) % 64) / 64;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const char *rule = eden_rule_name(eden_rule_at(r));
            first_step(rule, shapes[s], EDEN_F32, EDEN_F32, 0, plain);
            for (size_t way = 0; way < 2 * 3 * 8; way++) {
                const uint32_t k = kept[way / 2 % 3];
                first_step(rule, shapes[s], way % 2 ? EDEN_BF16 : EDEN_F32, k, (int)(way / 6), other);
                /* What else is done to a block changes no bit. */
                if (way % 6 == 0 && memcmp(plain, other, shapes[s][0] * shapes[s][1] * sizeof *plain) != 0)
                    fail_msg("%s, %zu, way %zu: other bits", rule, s, way);
                for (uint64_t i = 0; i < shapes[s][0] * shapes[s][1]; i++) {
                    const float move = fabsf(plain[i] - before[i]);
                    if (fabsf(other[i] - plain[i]) > 0.01f * move + 0x1p-22f)
                        fail_msg("%s, %llu x %llu, way %zu: weight %llu is %.9g, not %.9g", rule,
                                 (unsigned long long)shapes[s][0], (unsigned long long)shapes[s][1], way,
                                 (unsigned long long)i, (double)other[i], (double)plain[i]);
                }
            }
        }
}

/* Nothing is a float here, so that every array of a block passes through the same room:
 * the step is that of floats, rounded. */
static void test_narrow_first_steps(void **state)
{
    static const uint64_t shapes[][2] = { { 1200, 3 }, { 3, 1200 }, { 60, 60 } };
    static float plain[MOST], wide[MOST], g[MOST];
    static uint16_t w[MOST], narrow[MOST];
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        const uint64_t n = shapes[s][0] * shapes[s][1];
        eden_optimizer *o = NULL;
        first_step("adafactor", shapes[s], EDEN_F32, EDEN_F32, 0, plain);
        for (uint64_t i = 0; i < n; i++) wide[i] = 1 + (float)(mix(i) % 64) / 64, g[i] = (float)(mix(i + 9) % 31) / 8 - 2;
        assert_int_equal(eden_convert(w, EDEN_BF16, wide, EDEN_F32, n), EDEN_OK);
        assert_int_equal(eden_convert(narrow, EDEN_F16, g, EDEN_F32, n), EDEN_OK);
        eden_tensor t = eden_matrix(NULL, NULL, shapes[s][0], shapes[s][1]);
        t.data = w, t.grad = narrow, t.dtype = EDEN_BF16, t.grad_dtype = t.state_dtype = EDEN_F16;
        OK(eden_optimizer_create(&o, "adafactor", NULL, error));
        OK(eden_set(o, NULL, "beta1", 0.5, error));
        OK(eden_add_tensor(o, "w", &t, NULL, error));
        OK(eden_step(o, error));
        assert_int_equal(eden_convert(wide, EDEN_F32, w, EDEN_BF16, n), EDEN_OK);
        for (uint64_t i = 0; i < n; i++) assert_true(fabsf(wide[i] - plain[i]) <= 0x1p-7f);
        eden_optimizer_destroy(o);
    }
}

/* Clamped, a gradient whose square vanishes is divided by eps1, not by nothing. */
static void test_vanishing_square(void **state)
{
    static const struct { const char *name; double value; } settings[] = {
        { "lr", 1 }, { "eps1", 1e-3 }, { "eps1_mode", 1 }, { "scale_parameter", 0 }, { "relative_step", 0 },
    };
    (void)state;
    for (uint64_t rows = 1; rows <= 2; rows++) {
        double h[ROOM];
        const eden_rule *rule = defaults("adafactor", h);
        const eden_extent x = { 4, rows, 4 / rows, 0 };
        tensor a;
        for (size_t i = 0; i < 5; i++) put(rule, h, settings[i].name, settings[i].value);
        tensor_init(&a, rule, h, x);
        for (int i = 0; i < 4; i++) a.grad[i] = 1e-30f;
        tensor_step(&a, 1);
        for (int i = 0; i < 4; i++) assert_true(fabs(-(double)a.array[0][i] / 1e-27 - 1) < 1e-6);
        tensor_free(&a);
    }
}

/* ---- chance ----------------------------------------------------------------------------------- */

/* The finalizers by which chance is defined: Stafford's mix 13, of splitmix64, for the
 * key, and Wellons' lowbias32 for each number. Checkpoints rely on them. */
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

static void one_by_chance(unsigned codec, uint64_t key, uint64_t at, uint32_t bits, uint16_t want)
{
    const float f = from_bits(bits);
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        uint16_t got = 0;
        if (!eden_isa_runs_here(isa)) continue;
        eden_weights_codecs[isa]->store_stochastic(codec, &f, &got, key, at, 1);
        if (got != want) fail_msg("%08x becomes %04x instead of %04x", bits, got, want);
    }
}

/* f16 keeps 10 bits of mantissa above 2^-14, and multiples of 2^-24 below. */
static void half_by_chance(uint64_t key, uint64_t at, uint32_t random)
{
    const uint32_t r = random & 0x1fff;
    const float small = 0x1p-24f;
    uint32_t bits;
    one_by_chance(EDEN_CODEC_F16, key, at, 0x3f800000 + (0x1fff - r), 0x3c00);
    if (r) one_by_chance(EDEN_CODEC_F16, key, at, 0xbf800000 + (0x2000 - r), 0xbc01);
    one_by_chance(EDEN_CODEC_F16, key, at, 0x477fe000 - 1, r ? 0x7bff : 0x7bfe);
    one_by_chance(EDEN_CODEC_F16, key, at, 0x477fe000, 0x7bff);
    one_by_chance(EDEN_CODEC_F16, key, at, 0x7f800000, 0x7c00);
    for (int up = 0; up < 2; up++) { /* half a part above and below what chance asks for */
        const float x = small * (5 + ((float)(random & 0xffff) + (up ? 0.5f : -0.5f)) * 0x1p-16f);
        memcpy(&bits, &x, sizeof bits);
        if (random & 0xffff) one_by_chance(EDEN_CODEC_F16, key, at, bits, up ? 6 : 5);
    }
}

static void test_chance(void **state)
{
    static const uint64_t firsts[] = { 0, 1, 77, UINT64_C(0xffffffff), UINT64_C(0x123456789a) };
    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (uint64_t key = 0; key < 40; key++) {
            const uint64_t at = firsts[i], k = mix(key);
            const uint32_t seed = (uint32_t)mix13(k ^ mix13(at >> 32));
            const uint32_t r = lowbias32((uint32_t)at ^ seed) & 0xffff;
            half_by_chance(k, at, lowbias32((uint32_t)at ^ seed));
            one_by_chance(EDEN_CODEC_BF16, k, at, 0x3f800000 + (0xffff - r), 0x3f80);
            if (r) one_by_chance(EDEN_CODEC_BF16, k, at, 0x3f800000 + (0x10000 - r), 0x3f81);
            if (r) one_by_chance(EDEN_CODEC_BF16, k, at, 0x7f800000 - r, 0x7f7f); /* to infinity only from there */
            if (r) one_by_chance(EDEN_CODEC_BF16, k, at, 0xff800000 - r, 0xff7f);
            one_by_chance(EDEN_CODEC_BF16, k, at, 0x7f7f0000 + (0xffff - r), 0x7f7f);
            one_by_chance(EDEN_CODEC_BF16, k, at, 0x7f800000, 0x7f80);
            one_by_chance(EDEN_CODEC_BF16, k, at, 0xff800000, 0xff80);
            one_by_chance(EDEN_CODEC_BF16, k, at, 0x7f800001, 0x7fc0); /* a NaN stays one, with its sign and payload */
            one_by_chance(EDEN_CODEC_BF16, k, at, 0xffa10000, 0xffe1);
            one_by_chance(EDEN_CODEC_BF16, k, at, 0x80000000, 0x8000);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traffic),       cmocka_unit_test(test_work_bytes),
        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_refused_calls),
        cmocka_unit_test(test_first_steps),   cmocka_unit_test(test_narrow_first_steps),
        cmocka_unit_test(test_chance),        cmocka_unit_test(test_vanishing_square),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
