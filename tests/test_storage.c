/* test_storage.c - weights, gradients and state in fewer bits: what a step makes of
 * them, the same for any thread count, instruction set, and after a resume. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/codec.h"
#include "ok.h"

#define ROWS 96
#define COLS 700 /* several blocks, and no whole number of them */
#define COUNT (ROWS * COLS)
#define STEPS 4

/* One way to store a tensor. */
typedef struct {
    const char *name;
    uint32_t dtype, grad, state, rounding;
    int copy, zero, accumulate;
} storage;

static const storage storages[] = {
    { "f32", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, 0, 0, 1 },
    { "f32 zero copy", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, 1, 1, 1 },
    { "g bf16", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, 0, 0, 1 },
    { "g s bf16", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0, 2 },
    { "all bf16", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 1, 1 },
    { "f16", EDEN_F16, EDEN_F16, EDEN_F16, EDEN_NEAREST, 0, 0, 1 },
    { "g bf16 q8", EDEN_F32, EDEN_BF16, EDEN_Q8, EDEN_NEAREST, 1, 0, 1 },
    { "master", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_MASTER, 0, 1, 1 },
    { "master f16", EDEN_F16, EDEN_F16, EDEN_F32, EDEN_MASTER, 0, 0, 1 },
    { "split", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_SPLIT, 0, 0, 1 },
    { "stochastic", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC, 0, 0, 1 },
    { "stochastic f16", EDEN_F16, EDEN_F32, EDEN_Q8, EDEN_STOCHASTIC, 0, 0, 1 },
    { "kahan", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_KAHAN, 0, 0, 1 },
};
enum { STORAGES = sizeof storages / sizeof *storages };

static unsigned codec_of(uint32_t dtype)
{
    return dtype == EDEN_BF16 ? EDEN_CODEC_BF16 : dtype == EDEN_F16 ? EDEN_CODEC_F16 : EDEN_CODEC_F32;
}

static void store(uint32_t dtype, const float *from, void *to, size_t n)
{
    const size_t size = dtype == EDEN_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        eden_codecs[0][codec_of(dtype)].store(from + i, (char *)to + i * size, NULL,
                                              n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

static void load(uint32_t dtype, const void *from, float *to, size_t n)
{
    const size_t size = dtype == EDEN_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        eden_codecs[0][codec_of(dtype)].load((const char *)from + i * size, NULL, to + i,
                                             n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

/* Values between -1 and 1 that follow from k alone. */
static float value(uint64_t k)
{
    k = (k ^ k >> 30) * 0xbf58476d1ce4e5b9u;
    k = (k ^ k >> 27) * 0x94d049bb133111ebu;
    return (float)((double)(k >> 40) / (1 << 23) - 1);
}

typedef struct {
    const storage *s;
    eden_optimizer *o;
    float grad[COUNT], weights[COUNT];
    char data[COUNT * 4], grads[COUNT * 4], copy[COUNT * 2];
} run;

static run *begin(const storage *s, const char *rule, const char *settings, uint32_t threads,
                  const char *isa)
{
    run *r = calloc(1, sizeof *r);
    eden_config c = EDEN_CONFIG_INIT;
    eden_tensor t = eden_matrix((float *)(void *)r->data, (float *)(void *)r->grads, ROWS, COLS);
    assert_non_null(r);
    r->s = s;
    c.threads = threads;
    c.isa = isa;
    c.zero_grad = (uint32_t)s->zero;
    c.accumulate = (uint32_t)s->accumulate;
    c.seed = 7;
    t.dtype = s->dtype, t.grad_dtype = s->grad, t.state_dtype = s->state, t.rounding = s->rounding;
    if (s->copy) t.copy = r->copy, t.copy_dtype = EDEN_BF16;
    for (size_t i = 0; i < COUNT; i++) r->weights[i] = value(i);
    store(s->dtype, r->weights, r->data, COUNT);
    OK(eden_optimizer_create(&r->o, rule, &c, error));
    if (settings) OK(eden_set_text(r->o, NULL, settings, error));
    OK(eden_add_tensor(r->o, "w", &t, NULL, error));
    return r;
}

static void step(run *r)
{
    const uint64_t t = eden_steps(r->o);
    for (size_t i = 0; i < COUNT; i++) r->grad[i] = value(i * 31 + t * 1000003 + 5) * 0.1f;
    store(r->s->grad, r->grad, r->grads, COUNT);
    for (int k = 0; k < r->s->accumulate; k++) OK(eden_step(r->o, error));
}

static void end(run *r)
{
    eden_optimizer_destroy(r->o);
    free(r);
}

/* A rule by its place in the table; 8-bit state and look-ahead are not for all. */
static int suits(const eden_rule *rule, const storage *s)
{
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++)
        if (s->state == EDEN_Q8 && slot->shape == EDEN_ROW) return 0;
    return 1;
}

static int is_elementwise(const eden_rule *rule)
{
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++)
        if (slot->kind == EDEN_SUM) return 0;
    return 1;
}

/* ---- same bits --------------------------------------------------------------------- */

static void test_same_bits(void **state)
{
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < STORAGES; i++) {
            if (!suits(rule, &storages[i])) continue;
            run *a = begin(&storages[i], eden_rule_name(rule), NULL, 1, "base");
            run *b = begin(&storages[i], eden_rule_name(rule), NULL, (uint32_t)(2 + (i + k) % 6), NULL);
            for (int t = 0; t < STEPS; t++) step(a), step(b);
            if (memcmp(a->data, b->data, sizeof a->data) || memcmp(a->copy, b->copy, sizeof a->copy))
                fail_msg("%s, %s: other bits", eden_rule_name(rule), storages[i].name);
            end(a), end(b);
        }
}

/* ---- what a step means ---------------------------------------------------------------- */

/* A step from what is stored is a float step from those floats, stored again. */
static void test_is_float_step(void **state)
{
    static float before[COUNT], want[COUNT], lost[COUNT];
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++) {
        for (size_t i = 0; i < STORAGES; i++) {
            const storage *s = &storages[i];
            if (!is_elementwise(rule) || s->rounding != EDEN_NEAREST || s->accumulate > 1) continue;
            /* After one step the state is fresh, so weights tell all. */
            run *r = begin(s, eden_rule_name(rule), "lr=0.01", 2, NULL);
            load(s->dtype, r->data, before, COUNT);
            step(r);
            load(s->dtype, r->data, want, COUNT);
            storage plain = storages[0];
            run *f = begin(&plain, eden_rule_name(rule), "lr=0.01", 1, "base");
            memcpy(f->data, before, sizeof before);
            for (size_t j = 0; j < COUNT; j++) r->grad[j] = value(j * 31 + 5) * 0.1f;
            store(s->grad, r->grad, lost, COUNT);
            load(s->grad, lost, (float *)(void *)f->grads, COUNT);
            OK(eden_step(f->o, error));
            store(s->dtype, (float *)(void *)f->data, lost, COUNT);
            load(s->dtype, lost, before, COUNT);
            if (memcmp(before, want, sizeof want))
                fail_msg("%s, %s: not the float step", eden_rule_name(rule), s->name);
            end(r), end(f);
        }
    }
}

/* Split weights, and masters, go exactly where floats go. */
static void test_exact(void **state)
{
    static float a[COUNT], b[COUNT];
    storage floats = { "f32, g bf16", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, 0, 0, 1 };
    const eden_rule *rule;
    uint64_t count;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < STORAGES; i++) {
            const storage *s = &storages[i];
            if (!is_elementwise(rule) || s->dtype != EDEN_BF16 ||
                (s->rounding != EDEN_MASTER && s->rounding != EDEN_SPLIT))
                continue;
            run *f = begin(&floats, eden_rule_name(rule), "lr=0.01", 2, NULL);
            run *r = begin(s, eden_rule_name(rule), "lr=0.01", 2, NULL);
            load(EDEN_BF16, r->data, (float *)(void *)f->data, COUNT); /* the same start */
            for (int t = 0; t < STEPS; t++) step(f), step(r);
            load(EDEN_BF16, r->data, a, COUNT);
            memcpy(b, f->data, sizeof b);
            for (size_t j = 0; j < COUNT; j++)
                if (fabsf(a[j] - b[j]) > fabsf(b[j]) * 0x1p-8f) fail_msg("%s drifted", s->name);
            if (s->rounding == EDEN_MASTER) {
                OK(eden_get_state(r->o, "w", "master", a, COUNT, &count, error));
                assert_memory_equal(a, b, sizeof a);
            }
            end(f), end(r);
        }
}

/* The copy is the weights, and zeroing inside the step changes nothing else. */
static void test_copy_and_zero(void **state)
{
    static uint16_t want[COUNT];
    (void)state;
    run *a = begin(&storages[0], "adamw", NULL, 2, NULL), *b = begin(&storages[1], "adamw", NULL, 2, NULL);
    for (int t = 0; t < STEPS; t++) {
        step(a), step(b);
        assert_memory_equal(a->data, b->data, sizeof a->data);
        store(EDEN_BF16, (float *)(void *)b->data, want, COUNT);
        assert_memory_equal(b->copy, want, sizeof want);
        for (size_t i = 0; i < sizeof b->grads; i++) assert_int_equal(b->grads[i], 0);
    }
    end(a), end(b);
}

/* Steps too small for bf16: lost to the nearest, kept by the others. */
static void test_small_steps(void **state)
{
    static float x[COUNT];
    (void)state;
    for (size_t i = 0; i < STORAGES; i++) {
        const storage *s = &storages[i];
        if (s->dtype != EDEN_BF16) continue;
        run *r = begin(s, "sgd", "lr=0.0001", 2, NULL);
        for (size_t j = 0; j < COUNT; j++) r->weights[j] = 1;
        store(EDEN_BF16, r->weights, r->data, COUNT);
        for (int t = 0; t < 400; t++) {
            for (size_t j = 0; j < COUNT; j++) r->grad[j] = 1;
            store(EDEN_BF16, r->grad, r->grads, COUNT);
            OK(eden_step(r->o, error));
        }
        load(EDEN_BF16, r->data, x, COUNT);
        double mean = 0;
        for (size_t j = 0; j < COUNT; j++) mean += (double)x[j] / COUNT;
        const double want = s->rounding == EDEN_NEAREST ? 1 : 0.96;
        if (fabs(mean - want) > 0.003) fail_msg("%s: the mean is %g instead of %g", s->name, mean, want);
        end(r);
    }
}

/* State in fewer bits is near the state in floats. */
static void test_state_error(void **state)
{
    static float exact[COUNT], got[COUNT];
    static const char *const slots[] = { "m", "v" };
    uint64_t count;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint32_t dtype = EDEN_BF16; dtype <= EDEN_Q8; dtype++) {
            storage s = storages[2];
            run *a = begin(&s, "adamw", NULL, 2, NULL);
            s.state = dtype;
            run *b = begin(&s, "adamw", NULL, 2, NULL);
            a->s = &storages[2], b->s = &storages[2];
            for (int t = 0; t < STEPS; t++) step(a), step(b);
            OK(eden_get_state(a->o, "w", slots[i], exact, COUNT, &count, error));
            OK(eden_get_state(b->o, "w", slots[i], got, COUNT, &count, error));
            double worst = 0, top = 0;
            for (size_t j = 0; j < COUNT; j++) top = fmax(top, fabs((double)exact[j]));
            for (size_t j = 0; j < COUNT; j++)
                worst = fmax(worst, fabs((double)(got[j] - exact[j])) / fmax(fabs((double)exact[j]), top / 8));
            const double most = dtype == EDEN_Q8 ? 0.2 : 0.03;
            if (!(worst > 0 && worst < most)) fail_msg("%s as %u: %g", slots[i], dtype, worst);
            assert_true(eden_state_bytes(b->o) * (dtype == EDEN_Q8 ? 3 : 2) <= eden_state_bytes(a->o));
            end(a), end(b);
        }
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void test_resume(void **state)
{
    char path[] = "/tmp/eden-storage-XXXXXX", old[64];
    const eden_rule *rule;
    (void)state;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < STORAGES; i++) {
            if (!suits(rule, &storages[i])) continue;
            run *a = begin(&storages[i], eden_rule_name(rule), NULL, 2, NULL);
            run *b = begin(&storages[i], eden_rule_name(rule), NULL, 1, NULL);
            step(a), step(a);
            OK(eden_save(a->o, path, 0, error));
            OK(eden_load(b->o, path, 0, error));
            assert_memory_equal(a->data, b->data, sizeof a->data);
            step(a), step(a);
            step(b), step(b);
            if (memcmp(a->data, b->data, sizeof a->data))
                fail_msg("%s, %s: a resume changes bits", eden_rule_name(rule), storages[i].name);
            end(a), end(b);
        }
    unlink(path);
    snprintf(old, sizeof old, "%s.old", path);
    unlink(old);
}

/* ---- gradients -------------------------------------------------------------------------------- */

static void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

/* A bad gradient of 16 bits is found and named, and clipped by its true norm. */
static void test_gradients(void **state)
{
    eden_error e;
    (void)state;
    for (size_t i = 2; i <= 5; i += 3) {
        run *r = begin(&storages[i], "sgd", NULL, 2, NULL);
        for (size_t j = 0; j < COUNT; j++) r->grad[j] = 1;
        r->grad[40000] = NAN;
        store(storages[i].grad, r->grad, r->grads, COUNT);
        refused(eden_step(r->o, &e), EDEN_E_GRADIENT, &e, "is NaN at element 40000");
        end(r);
    }
    eden_config c = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    static float w[COUNT], ones[COUNT];
    static uint16_t g[COUNT];
    eden_tensor t = eden_vector(w, NULL, COUNT);
    t.grad = g, t.grad_dtype = EDEN_BF16;
    for (size_t j = 0; j < COUNT; j++) ones[j] = 1;
    store(EDEN_BF16, ones, g, COUNT);
    c.clip_norm = 1;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    assert_true(fabs(eden_grad_norm(o) - sqrt(COUNT)) < 1e-9 * sqrt(COUNT));
    assert_true(fabs((double)w[5] + 1 / sqrt(COUNT)) < 1e-9);
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),   cmocka_unit_test(test_is_float_step),
        cmocka_unit_test(test_exact),       cmocka_unit_test(test_copy_and_zero),
        cmocka_unit_test(test_small_steps), cmocka_unit_test(test_state_error),
        cmocka_unit_test(test_resume),      cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
