/* test_optimizer.c - tensors, the step, and what may go wrong in it. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ok.h"

static eden_optimizer *create(const char *rule, const eden_config *config)
{
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, rule, config, error));
    return o;
}

static void add(eden_optimizer *o, const char *name, float *data, float *grad, uint64_t n)
{
    eden_tensor t = eden_vector(data, grad, n);
    OK(eden_add_tensor(o, name, &t, NULL, error));
}

/* A refusal says what it should, and where. */
static void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    assert_int_equal(e->status, want);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

/* ---- the step ------------------------------------------------------------------ */

static void test_plain_step(void **state)
{
    float w[3] = { 1, 2, 3 }, g[3] = { 1, 0, -2 };
    eden_optimizer *o = create("sgd", NULL);
    (void)state;
    OK(eden_set(o, NULL, "lr", 0.5, error));
    add(o, "w", w, g, 3);
    OK(eden_step(o, error));
    assert_true(w[0] == 0.5f && w[1] == 2 && w[2] == 4);
    assert_int_equal(eden_steps(o), 1);
    OK(eden_zero_grad(o, error));
    assert_true(g[0] == 0 && g[1] == 0 && g[2] == 0);
    eden_optimizer_destroy(o);
}

static void test_maximize(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float w[1] = { 1 }, g[1] = { 1 };
    (void)state;
    c.maximize = 1;
    eden_optimizer *o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 0.5, error));
    add(o, "w", w, g, 1);
    OK(eden_step(o, error));
    assert_true(w[0] == 1.5f);
    eden_optimizer_destroy(o);
}

/* An absent gradient skips its tensor, a zero one does not. */
static void test_absent_and_zero(void **state)
{
    float a[1] = { 1 }, b[1] = { 1 }, zero[1] = { 0 };
    uint64_t steps;
    (void)state;
    eden_optimizer *o = create("sgd", NULL);
    OK(eden_set_text(o, NULL, "lr=0.5, weight_decay=0.5", error));
    add(o, "a", a, NULL, 1);
    add(o, "b", b, zero, 1);
    OK(eden_step(o, error));
    assert_true(a[0] == 1 && b[0] == 0.75f);
    OK(eden_tensor_steps(o, "a", &steps, error));
    assert_int_equal(steps, 0);
    OK(eden_tensor_steps(o, "b", &steps, error));
    assert_int_equal(steps, 1);
    OK(eden_set_grad(o, "a", zero, error));
    OK(eden_step(o, error));
    assert_true(a[0] == 0.75f);
    eden_optimizer_destroy(o);
}

static void test_accumulate(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float w[1] = { 1 }, g[1];
    (void)state;
    c.accumulate = 4;
    eden_optimizer *o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 1, error));
    add(o, "w", w, g, 1);
    for (int i = 0; i < 8; i++) {
        OK(eden_zero_grad(o, error));
        assert_true(i % 4 ? g[0] == (float)(i % 4) : g[0] == 0);
        g[0] += 1;
        OK(eden_step(o, error));
        assert_int_equal(eden_steps(o), (i + 1) / 4);
    }
    assert_true(w[0] == -1); /* two steps of the mean, 1 */
    eden_optimizer_destroy(o);
}

static void test_clipping(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float a[1] = { 0 }, b[1] = { 0 }, ga[1] = { 30 }, gb[1] = { -40 };
    (void)state;
    c.clip_norm = 5;
    eden_optimizer *o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 1, error));
    add(o, "a", a, ga, 1);
    add(o, "b", b, gb, 1);
    OK(eden_step(o, error));
    assert_true(a[0] == -3 && b[0] == 4);
    assert_true(eden_grad_norm(o) == 50);
    ga[0] = 3, gb[0] = 0; /* below the norm: untouched */
    OK(eden_step(o, error));
    assert_true(a[0] == -6 && b[0] == 4);
    eden_optimizer_destroy(o);

    c.clip_norm = 0, c.clip_value = 0.5;
    a[0] = b[0] = 0, ga[0] = 30, gb[0] = -0.25f;
    o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 1, error));
    add(o, "a", a, ga, 1);
    add(o, "b", b, gb, 1);
    OK(eden_step(o, error));
    assert_true(a[0] == -0.5f && b[0] == 0.25f);
    eden_optimizer_destroy(o);

    c.clip_norm = 2.5, c.clip_value = 4; /* the norm is that of what is clipped already: 5 */
    a[0] = b[0] = 0, ga[0] = 3, gb[0] = -40;
    o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 1, error));
    add(o, "a", a, ga, 1);
    add(o, "b", b, gb, 1);
    OK(eden_step(o, error));
    assert_true(a[0] == -1.5f && b[0] == 2);
    eden_optimizer_destroy(o);
}

/* A float norm of 1e19 overflows when squared, one of 1e-30 vanishes. */
static void test_extreme_norms(void **state)
{
    static const float sizes[] = { 1e19f, 1e-30f };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        eden_config c = EDEN_CONFIG_INIT;
        float w[2] = { 0, 0 }, g[2];
        c.clip_norm = i == 0 ? 5 : 5e-31;
        g[0] = 0.6f * sizes[i], g[1] = 0.8f * sizes[i];
        eden_optimizer *o = create("sgd", &c);
        OK(eden_set(o, NULL, "lr", 1, error));
        add(o, "w", w, g, 2);
        OK(eden_step(o, error));
        assert_true(fabs(eden_grad_norm(o) / (double)sizes[i] - 1) < 1e-6);
        assert_true(fabs(-w[0] / (0.6 * c.clip_norm) - 1) < 1e-6);
        assert_true(fabs(-w[1] / (0.8 * c.clip_norm) - 1) < 1e-6);
        eden_optimizer_destroy(o);
    }
}

/* ---- gradients that are not finite ------------------------------------------------ */

static void test_refuse_everywhere(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY, 2e19f, -FLT_MAX };
    enum { N = 40000 };
    float *w = calloc(2 * N, sizeof *w), *g = calloc(2 * N, sizeof *g), *m = calloc(N, sizeof *m);
    uint64_t count;
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        static const size_t at[] = { 0, 1, 16383, 16384, N - 1, N, 2 * N - 1 };
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            eden_error e;
            char part[64];
            eden_optimizer *o = create("adam", NULL);
            add(o, "first", w, g, N);
            add(o, "second", w + N, g + N, N);
            for (size_t j = 0; j < 2 * N; j++) w[j] = 1, g[j] = 0.5f;
            g[at[i]] = bad[k];
            snprintf(part, sizeof part, "'%s' is ", at[i] < N ? "first" : "second");
            refused(eden_step(o, &e), EDEN_E_GRADIENT, &e, part);
            snprintf(part, sizeof part, "element %zu", at[i] % N);
            assert_non_null(strstr(e.text, part));
            for (size_t j = 0; j < 2 * N; j++) assert_true(w[j] == 1);
            OK(eden_get_state(o, "first", "m", m, N, &count, error));
            for (size_t j = 0; j < N; j++) assert_true(m[j] == 0);
            assert_int_equal(eden_steps(o), 0);
            g[at[i]] = 0.5f;
            OK(eden_step(o, error));
            assert_int_equal(eden_steps(o), 1);
            eden_optimizer_destroy(o);
        }
    }
    free(w);
    free(g);
    free(m);
}

static void test_skip_and_apply(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float w[2] = { 1, 1 }, g[2] = { NAN, 1 };
    (void)state;
    c.nonfinite = EDEN_SKIP;
    eden_optimizer *o = create("sgd", &c);
    add(o, "w", w, g, 2);
    OK(eden_step(o, error));
    assert_true(w[0] == 1 && w[1] == 1);
    assert_int_equal(eden_steps(o), 0);
    assert_int_equal(eden_skipped(o), 1);
    eden_optimizer_destroy(o);

    c.nonfinite = EDEN_APPLY;
    o = create("sgd", &c);
    add(o, "w", w, g, 2);
    OK(eden_step(o, error));
    assert_true(isnan(w[0]) && w[1] == 0.99f);
    assert_int_equal(eden_steps(o), 1);
    eden_optimizer_destroy(o);
}

/* Clipping by value brings large gradients back into range, but not infinite ones. */
static void test_clip_value_and_infinity(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    float w[1] = { 0 }, g[1] = { 1e30f };
    eden_error e;
    (void)state;
    c.clip_value = 1;
    eden_optimizer *o = create("sgd", &c);
    OK(eden_set(o, NULL, "lr", 1, error));
    add(o, "w", w, g, 1);
    OK(eden_step(o, error));
    assert_true(w[0] == -1);
    g[0] = INFINITY;
    refused(eden_step(o, &e), EDEN_E_GRADIENT, &e, "'w' is infinite");
    eden_optimizer_destroy(o);
}

/* ---- bad arguments ------------------------------------------------------------------- */

static void test_bad_tensors(void **state)
{
    float w[8] = { 0 }, g[8] = { 0 };
    eden_error e;
    eden_optimizer *o = create("sgd", NULL);
    eden_tensor t = eden_vector(w, g, 4);
    (void)state;
    refused(eden_add_tensor(o, "", &t, NULL, &e), EDEN_E_NAME, &e, "1 to 255 bytes");
    refused(eden_add_tensor(o, "a\nb", &t, NULL, &e), EDEN_E_NAME, &e, "control characters");
    refused(eden_add_tensor(o, "w", &t, "nobody", &e), EDEN_E_NAME, &e, "nobody");
    refused(eden_add_tensor(o, "w", NULL, NULL, &e), EDEN_E_ARGUMENT, &e, "NULL");
    t.size = 3;
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_ARGUMENT, &e, "EDEN_TENSOR_INIT");
    t = eden_vector(NULL, g, 4);
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_ARGUMENT, &e, "data is NULL");
    t = eden_vector(w, g, 4);
    t.dtype = 255;
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_DTYPE, &e, "dtype = 255");
    t = eden_vector(w, g, 4);
    t.flags = 1u << 31;
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_ARGUMENT, &e, "flags");
    t = eden_matrix(w, g, UINT64_MAX, UINT64_MAX);
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_SHAPE, &e, "elements");
    t = eden_vector(w, g, 4);
    t.ndim = 9;
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_SHAPE, &e, "9 dimensions");
    t = eden_vector((float *)(void *)((char *)w + 1), g, 4);
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_ARGUMENT, &e, "aligned");
    assert_int_equal(eden_tensor_count(o), 0);

    add(o, "w", w, g, 4);
    t = eden_vector(w + 4, g + 4, 4);
    refused(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_NAME, &e, "already");
    add(o, "overlap", w + 3, g + 4, 4);
    refused(eden_step(o, &e), EDEN_E_ARGUMENT, &e, "overlap");
    eden_optimizer_destroy(o);

    o = create("sgd", NULL);
    add(o, "own gradient", w, w, 4);
    refused(eden_step(o, &e), EDEN_E_ARGUMENT, &e, "overlap");
    eden_optimizer_destroy(o);
}

static void test_read_only_gradient(void **state)
{
    float w[1] = { 0 }, g[1] = { 1 };
    eden_error e;
    eden_optimizer *o = create("sgd", NULL);
    eden_tensor t = eden_vector(w, g, 1);
    (void)state;
    t.flags = 0;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    refused(eden_zero_grad(o, &e), EDEN_E_ARGUMENT, &e, "read-only");
    OK(eden_step(o, error));
    assert_true(g[0] == 1);
    eden_optimizer_destroy(o);
}

static void test_bad_create(void **state)
{
    eden_optimizer *o = NULL;
    eden_config c = EDEN_CONFIG_INIT;
    eden_error e;
    (void)state;
    refused(eden_optimizer_create(&o, "adamv", NULL, &e), EDEN_E_NAME, &e, "did you mean 'adam");
    refused(eden_optimizer_create(&o, NULL, NULL, &e), EDEN_E_ARGUMENT, &e, "rule is NULL");
    refused(eden_optimizer_create(NULL, "sgd", NULL, &e), EDEN_E_ARGUMENT, &e, "optimizer is NULL");
    c.isa = "mmx";
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_NAME, &e, "mmx");
    c = (eden_config)EDEN_CONFIG_INIT;
    c.clip_norm = -1;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_VALUE, &e, "clip_norm = -1");
    c.clip_norm = NAN;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_VALUE, &e, "clip_norm");
    c = (eden_config)EDEN_CONFIG_INIT;
    c.nonfinite = 7;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_VALUE, &e, "nonfinite = 7");
    c = (eden_config)EDEN_CONFIG_INIT;
    c.size = 1;
    refused(eden_optimizer_create(&o, "sgd", &c, &e), EDEN_E_ARGUMENT, &e, "EDEN_CONFIG_INIT");
    assert_null(o);
    eden_optimizer_destroy(NULL);
    assert_int_equal(eden_optimizer_create(&o, "adamv", NULL, NULL), EDEN_E_NAME);
}

static void test_empty(void **state)
{
    float nothing[1] = { 7 };
    (void)state;
    for (size_t i = 0; i < eden_rule_count(); i++) {
        eden_optimizer *o = create(eden_rule_name(eden_rule_at(i)), NULL);
        OK(eden_step(o, error)); /* no tensors at all */
        add(o, "empty", nothing, nothing, 0);
        OK(eden_step(o, error));
        assert_true(nothing[0] == 7);
        eden_optimizer_destroy(o);
    }
}

/* Frozen tensors have no state and stay as they are, gradient or not. */
static void test_frozen(void **state)
{
    float w[2] = { 1, 2 }, g[2] = { NAN, 1 };
    eden_tensor t = eden_vector(w, g, 2);
    (void)state;
    eden_optimizer *o = create("adam", NULL);
    t.flags |= EDEN_FROZEN;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    assert_true(w[0] == 1 && w[1] == 2);
    assert_int_equal(eden_state_bytes(o), 0);
    eden_optimizer_destroy(o);
}

/* lr = 0 leaves weights bit for bit, and moves state and count. */
static void test_zero_rate(void **state)
{
    (void)state;
    for (size_t i = 0; i < eden_rule_count(); i++) {
        float w[4] = { 1, -0.0f, 1e-40f, 3 }, g[4] = { 1, 2, -3, 4 }, before[4];
        eden_optimizer *o = create(eden_rule_name(eden_rule_at(i)), NULL);
        memcpy(before, w, sizeof w);
        OK(eden_set(o, NULL, "lr", 0, error));
        add(o, "w", w, g, 4);
        OK(eden_step(o, error));
        for (size_t k = 0; k < 4; k++) assert_true(w[k] == before[k]);
        assert_int_equal(eden_steps(o), 1);
        eden_optimizer_destroy(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_step),
        cmocka_unit_test(test_maximize),
        cmocka_unit_test(test_absent_and_zero),
        cmocka_unit_test(test_accumulate),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_extreme_norms),
        cmocka_unit_test(test_refuse_everywhere),
        cmocka_unit_test(test_skip_and_apply),
        cmocka_unit_test(test_clip_value_and_infinity),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_read_only_gradient),
        cmocka_unit_test(test_bad_create),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_zero_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
