/* test_poison.c - a bad gradient changes nothing, and an extreme one ruins nothing.
 *
 * usage: test_poison [all]     (all: every position of every tensor, minutes)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

static int every_position;

/* ---- a model whose gradients are all in one dtype ----------------------------------- */

/* One value, a vector, a matrix that is factored, and one of more than a chunk. */
static const uint64_t shapes[][2] = { { 1, 1 }, { 1, 257 }, { 130, 131 }, { 1, 16500 } };
enum { TENSORS = 4, MOST = 130 * 131, SLOTS = 8, KEPT = TENSORS * (SLOTS + 1) };
static const char *const names[TENSORS] = { "one", "vector", "matrix", "long" };

typedef struct {
    eden_optimizer *o;
    uint32_t dtype;
    size_t size; /* bytes of one gradient */
    float *w[TENSORS];
    unsigned char *g[TENSORS];
    float *kept[KEPT]; /* weights and state as they were */
    uint64_t length[KEPT], steps;
} model;

static uint64_t count_of(size_t k) { return shapes[k][0] * shapes[k][1]; }

static void ordinary_gradients(model *m)
{
    for (size_t k = 0; k < TENSORS; k++) {
        float *x = malloc(count_of(k) * sizeof *x);
        assert_non_null(x);
        for (uint64_t i = 0; i < count_of(k); i++) x[i] = (float)(mix(i + k) % 33) / 16 - 1;
        assert_int_equal(eden_convert(m->g[k], m->dtype, x, EDEN_F32, count_of(k)), EDEN_OK);
        free(x);
    }
}

static void model_create(model *m, const char *rule, uint32_t dtype, const eden_config *config)
{
    memset(m, 0, sizeof *m);
    m->dtype = dtype;
    m->size = dtype == EDEN_F32 ? 4 : 2;
    OK(eden_optimizer_create(&m->o, rule, config, error));
    for (size_t k = 0; k < TENSORS; k++) {
        m->w[k] = malloc(count_of(k) * sizeof(float));
        m->g[k] = calloc(count_of(k), m->size);
        assert_true(m->w[k] && m->g[k]);
        for (uint64_t i = 0; i < count_of(k); i++) m->w[k][i] = (float)(mix(i) % 17) / 8 - 1;
        eden_tensor t = eden_matrix(m->w[k], NULL, shapes[k][0], shapes[k][1]);
        if (shapes[k][0] == 1) t = eden_vector(m->w[k], NULL, shapes[k][1]);
        t.grad = m->g[k];
        t.grad_dtype = dtype;
        OK(eden_add_tensor(m->o, names[k], &t, NULL, error));
    }
    ordinary_gradients(m);
}

static void model_destroy(model *m)
{
    eden_optimizer_destroy(m->o);
    for (size_t k = 0; k < TENSORS; k++) free(m->w[k]), free(m->g[k]);
    for (size_t i = 0; i < KEPT; i++) free(m->kept[i]);
}

/* Array `a` of tensor k: the weights, then each state; a new copy, or NULL. */
static float *copy_array(model *m, size_t k, size_t a, uint64_t *n)
{
    const eden_rule *rule = eden_group_rule(m->o, NULL);
    *n = a ? 0 : count_of(k);
    if (a) {
        const eden_slot *slot = eden_rule_slot(rule, a + 1);
        if (!slot || slot->kind != EDEN_STATE) return NULL;
        OK(eden_get_state(m->o, names[k], slot->name, NULL, 0, n, error));
    }
    float *x = malloc((*n ? *n : 1) * sizeof *x);
    assert_non_null(x);
    if (!a) memcpy(x, m->w[k], *n * sizeof *x);
    else OK(eden_get_state(m->o, names[k], eden_rule_slot(rule, a + 1)->name, x, *n, n, error));
    return x;
}

static void keep(model *m)
{
    for (size_t i = 0; i < KEPT; i++) {
        free(m->kept[i]);
        m->kept[i] = copy_array(m, i / (SLOTS + 1), i % (SLOTS + 1), &m->length[i]);
    }
    m->steps = eden_steps(m->o);
}

static void assert_kept(model *m, const char *what)
{
    uint64_t n;
    for (size_t i = 0; i < KEPT; i++) {
        float *x = copy_array(m, i / (SLOTS + 1), i % (SLOTS + 1), &n);
        const int same = n == m->length[i] && (!x || memcmp(x, m->kept[i], n * sizeof *x) == 0);
        free(x);
        if (!same) fail_msg("%s: array %zu of '%s' has changed", what, i % (SLOTS + 1), names[i / (SLOTS + 1)]);
    }
    assert_true(eden_steps(m->o) == m->steps);
    for (size_t k = 0; k < TENSORS; k++) {
        OK(eden_tensor_steps(m->o, names[k], &n, error));
        assert_true(n == m->steps);
    }
}

/* ---- what is not finite ---------------------------------------------------------------- */

/* Quiet and signalling NaN of both signs, with least and most payload, both
 * infinities; then what is finite and has no square. */
static const uint32_t bad_f32[] = { 0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001, 0x7fbfffff, 0x7fffffff,
                                    0xffffffff, 0x7f800000, 0xff800000, 0x5f800000, 0x7f7fffff, 0xff7fffff };
static const uint32_t bad_bf16[] = { 0x7fc0, 0xffc0, 0x7f81, 0xff81, 0x7fff, 0xffff, 0x7f80, 0xff80, 0x7f7f,
                                     0xff7f };
static const uint32_t bad_f16[] = { 0x7e00, 0xfe00, 0x7c01, 0xfc01, 0x7fff, 0xffff, 0x7c00, 0xfc00 };

static const struct { uint32_t dtype; const uint32_t *bits; size_t count; const char *name; } kinds[] = {
    { EDEN_F32, bad_f32, sizeof bad_f32 / sizeof *bad_f32, "f32" },
    { EDEN_BF16, bad_bf16, sizeof bad_bf16 / sizeof *bad_bf16, "bf16" },
    { EDEN_F16, bad_f16, sizeof bad_f16 / sizeof *bad_f16, "f16" },
};

static void put(model *m, size_t k, uint64_t i, uint32_t bits)
{
    const uint16_t narrow = (uint16_t)bits;
    if (m->size == 4) memcpy(m->g[k] + 4 * i, &bits, 4);
    else memcpy(m->g[k] + 2 * i, &narrow, 2);
}

/* The step is refused for this element, whatever comes after it. */
static void refuses(model *m, size_t k, uint64_t i, const char *rule)
{
    char part[64];
    eden_error e = { 0, "" };
    const eden_status status = eden_step(m->o, &e);
    if (status != EDEN_E_GRADIENT) fail_msg("%s: status %d: %s", rule, status, e.text);
    snprintf(part, sizeof part, "'%s' is ", names[k]);
    if (!strstr(e.text, part)) fail_msg("%s: '%s' does not contain '%s'", rule, e.text, part);
    snprintf(part, sizeof part, "element %llu", (unsigned long long)i);
    const char *at = strstr(e.text, part);
    if (!at || (at[strlen(part)] >= '0' && at[strlen(part)] <= '9'))
        fail_msg("%s: '%s' does not contain '%s'", rule, e.text, part);
}

/* The n-th position to try: the ends of tensors, blocks, chunks and lanes. */
static int position(size_t k, size_t n, uint64_t *i)
{
    static const uint64_t some[] = { 0, 31, 255, 256, 8191, 16383, 16384, UINT64_MAX };
    if (every_position) return (*i = n) < count_of(k);
    if (n >= sizeof some / sizeof *some) return 0;
    *i = some[n] < count_of(k) - 1 ? some[n] : count_of(k) - 1;
    return 1;
}

static void poison_everywhere(model *m, const uint32_t *bits, size_t count, const char *rule)
{
    for (size_t k = 0; k < TENSORS; k++) {
        uint64_t i;
        for (size_t n = 0; position(k, n, &i); n++) {
            const uint32_t b = bits[n % count];
            unsigned char before[4];
            memcpy(before, m->g[k] + m->size * i, m->size);
            put(m, k, i, b);
            refuses(m, k, i, rule);
            memcpy(m->g[k] + m->size * i, before, m->size);
        }
    }
    assert_kept(m, rule);
}

/* Each value once more, at the end of the last tensor, and all over at once: the first
 * that is not finite is named, and the first eight of each dtype are not. */
static void poison_each_value(model *m, const uint32_t *bits, size_t count, const char *rule)
{
    for (size_t b = 0; b < count; b++) {
        put(m, TENSORS - 1, count_of(TENSORS - 1) - 1, bits[b]);
        refuses(m, TENSORS - 1, count_of(TENSORS - 1) - 1, rule);
        for (uint64_t i = 5; i < count_of(2); i += 1 + mix(i) % 50) put(m, 2, i, bits[(b + i) % 8]);
        refuses(m, 2, 5, rule);
        assert_kept(m, rule);
        ordinary_gradients(m);
    }
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t d = 0; d < sizeof kinds / sizeof *kinds; d++) {
            const char *rule = eden_rule_name(eden_rule_at(r));
            model m;
            model_create(&m, rule, kinds[d].dtype, NULL);
            OK(eden_step(m.o, error));
            keep(&m);
            poison_everywhere(&m, kinds[d].bits, kinds[d].count, rule);
            poison_each_value(&m, kinds[d].bits, kinds[d].count, rule);
            OK(eden_step(m.o, error)); /* and it goes on */
            assert_true(eden_steps(m.o) == 2);
            model_destroy(&m);
        }
}

/* Clipping, accumulating, climbing and averaging do not let a NaN through either. */
static void test_refused_in_other_ways(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 5; way++) {
        eden_config c = EDEN_CONFIG_INIT;
        model m;
        if (way == 0) c.clip_norm = 1;
        if (way == 1) c.clip_value = 1;
        if (way == 2) c.accumulate = 3, c.maximize = 1;
        if (way == 3) c.average = EDEN_SWA;
        if (way == 4) c.threads = 3, c.loss_scale = 0x1p-14; /* its least: no excuse left */
        model_create(&m, "adamw", EDEN_F32, &c);
        for (uint32_t i = 0; i < (c.accumulate ? c.accumulate : 1); i++) OK(eden_step(m.o, error));
        keep(&m);
        for (size_t b = 0; b < (c.accumulate ? 1 : 9); b++) {
            for (uint32_t i = 1; i < c.accumulate; i++) OK(eden_step(m.o, error));
            put(&m, 2, 300, bad_f32[b]);
            refuses(&m, 2, 300, "adamw");
            assert_kept(&m, "in another way");
            ordinary_gradients(&m);
        }
        model_destroy(&m);
    }
}

/* With EDEN_SKIP nothing changes either, and each is counted, however many. */
static void test_skipped(void **state)
{
    (void)state;
    eden_config c = EDEN_CONFIG_INIT;
    model m;
    c.nonfinite = EDEN_SKIP;
    model_create(&m, "adam", EDEN_F32, &c);
    OK(eden_step(m.o, error));
    keep(&m);
    for (uint64_t n = 1; n <= 1000; n++) {
        put(&m, n % TENSORS, count_of(n % TENSORS) / 2, bad_f32[n % 12]);
        OK(eden_step(m.o, error));
        assert_true(eden_skipped(m.o) == n);
        ordinary_gradients(&m);
    }
    assert_kept(&m, "skipped");
    model_destroy(&m);
}

/* ---- what is finite, and extreme ---------------------------------------------------------- */

static int finite_all(model *m)
{
    uint64_t n;
    int finite = 1;
    for (size_t i = 0; i < KEPT; i++) {
        float *x = copy_array(m, i / (SLOTS + 1), i % (SLOTS + 1), &n);
        for (uint64_t j = 0; j < n; j++) finite = finite && isfinite(x[j]);
        free(x);
    }
    return finite;
}

/* Constant gradients of any size that is not refused leave all finite, for as long as
 * it takes a mean to come as close to them as it ever will, under every choice. */
static void stay_finite(const char *rule, const eden_hyper *h, double value, float size, uint32_t state_dtype)
{
    float w[4] = { 1, -1, 0, 1e-40f }, g[4] = { 0, 0, 0, 0 };
    eden_optimizer *o = NULL;
    eden_tensor t = eden_matrix(w, g, 2, 2);
    t.state_dtype = state_dtype;
    OK(eden_optimizer_create(&o, rule, NULL, error));
    OK(eden_set(o, NULL, "lr", 0, error)); /* else some weights double with every step */
    if (h && eden_set(o, NULL, h->name, value, NULL)) goto done;
    if (eden_add_tensor(o, "w", &t, NULL, NULL)) goto done;
    for (int i = 0; i < 4; i++) g[i] = i % 2 ? -size : size;
    for (int n = 0; n < 8000; n++) {
        eden_error e = { 0, "" };
        const eden_status status = eden_lookahead_begin(o, NULL) == EDEN_E_VALUE ? EDEN_E_VALUE
                                                                                : eden_step(o, &e);
        if (status == EDEN_E_VALUE || status == EDEN_E_DTYPE) break; /* these do not go together */
        if (status != EDEN_OK) fail_msg("%s: %s", rule, e.text);
        for (int i = 0; i < 4; i++)
            if (!isfinite(w[i])) fail_msg("%s, %s, gradient %g: weight %g", rule, h ? h->name : "", (double)size,
                                          (double)w[i]);
    }
    const eden_slot *slot;
    for (size_t s = 0; (slot = eden_rule_slot(eden_group_rule(o, NULL), s)); s++) {
        float x[4];
        uint64_t n = 0;
        if (slot->kind != EDEN_STATE || eden_get_state(o, "w", slot->name, x, 4, &n, NULL)) continue;
        for (uint64_t i = 0; i < n; i++)
            if (!isfinite(x[i])) fail_msg("%s, %s, gradient %g: %s is %g", rule, h ? h->name : "", (double)size,
                                          slot->name, (double)x[i]);
    }
done:
    eden_optimizer_destroy(o);
}

static void test_extreme_gradients(void **state)
{
    static const float sizes[] = { 1.8e19f, 1e19f, 1e4f, 1e-19f, 1e-25f, 1.1754944e-38f, 1e-40f, 1e-45f };
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const eden_rule *rule = eden_rule_at(r);
            const char *name = eden_rule_name(rule);
            const eden_hyper *h;
            stay_finite(name, NULL, 0, sizes[i], EDEN_F32);
            stay_finite(name, NULL, 0, sizes[i], EDEN_BF16);
            stay_finite(name, NULL, 0, sizes[i], EDEN_Q8);
            stay_finite(name, NULL, 0, sizes[i], EDEN_F16);
            for (size_t k = 0; (h = eden_rule_hyper(rule, k)); k++)
                for (double v = 0; h->kind != EDEN_REAL && v <= h->high; v++)
                    stay_finite(name, h, v, sizes[i], EDEN_F32);
        }
}

/* 1e20 and more have no square: refused, unless a clip makes them small enough. */
static void test_too_large(void **state)
{
    static const float sizes[] = { 1.8000001e19f, 1e20f, 1e38f, 3e38f, FLT_MAX };
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            uint32_t bits;
            model m;
            memcpy(&bits, &sizes[i], 4);
            model_create(&m, eden_rule_name(eden_rule_at(r)), EDEN_F32, NULL);
            OK(eden_step(m.o, error));
            keep(&m);
            put(&m, 1, 256, bits);
            refuses(&m, 1, 256, eden_rule_name(eden_rule_at(r)));
            put(&m, 1, 256, bits | 0x80000000u);
            refuses(&m, 1, 256, eden_rule_name(eden_rule_at(r)));
            assert_kept(&m, "too large");
            assert_true(finite_all(&m));
            model_destroy(&m);
        }
}

/* A norm beyond all floats is no reason to clip to zero. */
static void test_large_norm(void **state)
{
    (void)state;
    eden_config c = EDEN_CONFIG_INIT;
    float w[2] = { 0, 0 }, g[2] = { 3e38f, 3e38f };
    eden_optimizer *o = NULL;
    eden_tensor t = eden_vector(w, g, 2);
    c.clip_norm = 1;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    for (int i = 0; i < 2; i++) assert_true(fabs(-(double)w[i] - sqrt(0.5)) < 1e-6);
    assert_true(fabs(eden_grad_norm(o) / (3e38 * sqrt(2)) - 1) < 1e-6);
    eden_optimizer_destroy(o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_refused_in_other_ways),
        cmocka_unit_test(test_skipped),          cmocka_unit_test(test_extreme_gradients),
        cmocka_unit_test(test_too_large),        cmocka_unit_test(test_large_norm),
    };
    every_position = argc == 2 && strcmp(argv[1], "all") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
