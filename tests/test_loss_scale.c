/* test_loss_scale.c - the loss scale divides out exactly and finds its size. */
#include "tests/checkpoint_model.h"

#include <float.h>
#include <math.h>

enum { N = 20000 };

static eden_config config_of(double scale, uint32_t window, uint32_t nonfinite)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 1;
    c.loss_scale = scale, c.loss_scale_window = window, c.nonfinite = nonfinite;
    return c;
}

static eden_optimizer *one(const char *rule, const eden_config *c, const char *settings, float *w, float *g,
                           uint64_t n)
{
    eden_optimizer *o = NULL;
    eden_tensor t = eden_vector(w, g, n);
    OK(eden_optimizer_create(&o, rule, c, error));
    OK(eden_set_text(o, NULL, settings, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    return o;
}

static void test_refused(void **state)
{
    static const double bad[] = { 3, -1, -65536, 0x1p-15, 0x1p33, 65537, INFINITY, NAN };
    static const char *const shown[] = { "3", "-1", "-65536", "3.0517578125e-05", "8589934592", "65537", "inf", "nan" };
    eden_optimizer *o = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char part[80];
        const eden_config c = config_of(bad[i], 0, EDEN_SKIP);
        snprintf(part, sizeof part, "config.loss_scale = %s is no power of two from 2^-14 to 2^32", shown[i]);
        REFUSED(eden_optimizer_create(&o, "sgd", &c, error), EDEN_E_VALUE, part);
    }
    eden_config c = config_of(0, 7, EDEN_SKIP);
    REFUSED(eden_optimizer_create(&o, "sgd", &c, error), EDEN_E_VALUE, "loss_scale_window = 7 has no effect");
    c = config_of(4, 7, EDEN_APPLY);
    REFUSED(eden_optimizer_create(&o, "sgd", &c, error), EDEN_E_VALUE, "use EDEN_SKIP or EDEN_REFUSE");
    assert_null(o);
    assert_true(eden_loss_scale(NULL) == 1);
}

/* The same bits as without a scale, through accumulation and both clips. */
static void test_exact(void **state)
{
    static float a[N], b[N], ga[N], gb[N];
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (uint32_t how = 0; how < 8; how++) {
            eden_config plain = config_of(0, 0, EDEN_REFUSE), c;
            plain.accumulate = 3, plain.maximize = how & 1;
            plain.clip_value = how & 2 ? 0.4 : 0, plain.clip_norm = how & 4 ? 7 : 0;
            c = plain;
            c.loss_scale = how & 1 ? 0x1p-3 : 0x1p16, c.loss_scale_window = 2, c.threads = 2 + how % 3;
            fill(a, N, k + 1);
            memcpy(b, a, sizeof a);
            eden_optimizer *x = one(eden_rule_name(rule), &plain, "", a, ga, N);
            eden_optimizer *y = one(eden_rule_name(rule), &c, "", b, gb, N);
            double scale = c.loss_scale;
            for (int t = 0; t < 15; t++) {
                OK(eden_zero_grad(x, error));
                OK(eden_zero_grad(y, error));
                assert_true(eden_loss_scale(y) == scale);
                for (size_t i = 0; i < N; i++) {
                    const float g = (float)(mix(i * 77 + (uint64_t)t) % 2001) / 1000 - 1;
                    ga[i] += g, gb[i] += g * (float)scale;
                }
                OK(eden_step(x, error));
                OK(eden_step(y, error));
                if (t % 6 == 5) scale *= 2; /* after two steps of three micro-batches */
            }
            if (memcmp(a, b, sizeof a)) fail_msg("%s: a scale changes bits", eden_rule_name(rule));
            assert_true(eden_grad_norm(x) == eden_grad_norm(y));
            assert_true((eden_grad_norm(x) > 0) == (plain.clip_norm > 0));
            assert_true(eden_loss_scale(x) == 1);
            eden_optimizer_destroy(x);
            eden_optimizer_destroy(y);
        }
}

/* Scale, skips and weights against a few lines of their own. */
static void test_dynamics(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (uint32_t nonfinite = EDEN_REFUSE; nonfinite <= EDEN_SKIP; nonfinite++) {
        const eden_config c = config_of(1024, 5, nonfinite);
        float w[3] = { 0, 0, 0 }, g[3];
        double want = 0, scale = 1024;
        uint64_t skipped = 0, good = 0, taken = 0;
        eden_optimizer *o = one("sgd", &c, "lr=1", w, g, 3);
        for (uint64_t t = 0; t < 300; t++) {
            assert_true(eden_loss_scale(o) == scale);
            const int overflows = mix(t) % 9 == 0;
            g[0] = g[1] = g[2] = (float)(0.5 * scale);
            if (overflows) g[t % 3] = bad[t / 3 % 3];
            OK(eden_step(o, error));
            if (overflows) skipped++, scale /= 2, good = 0;
            else if (want -= 0.5, taken++, ++good == 5) scale *= 2, good = 0;
            assert_int_equal(eden_skipped(o), skipped);
            assert_int_equal(eden_steps(o), taken);
            for (int i = 0; i < 3; i++) assert_true((double)w[i] == want);
        }
        assert_true(skipped > 20 && taken > 200);
        eden_optimizer_destroy(o);
    }
}

static void test_ends(void **state)
{
    float w[1] = { 1 }, g[1] = { NAN };
    (void)state;
    eden_config c = config_of(0x1p-12, 3, EDEN_SKIP);
    eden_optimizer *o = one("sgd", &c, "lr=1", w, g, 1);
    for (int i = 0; i < 5; i++) OK(eden_step(o, error));
    assert_true(eden_loss_scale(o) == 0x1p-14 && eden_skipped(o) == 5 && w[0] == 1);
    g[0] = 0;
    for (int i = 0; i < 3; i++) OK(eden_step(o, error));
    assert_true(eden_loss_scale(o) == 0x1p-13);
    eden_optimizer_destroy(o);

    c.nonfinite = EDEN_REFUSE;
    g[0] = NAN;
    o = one("sgd", &c, "lr=1", w, g, 1);
    for (int i = 0; i < 2; i++) OK(eden_step(o, error));
    for (int i = 0; i < 2; i++)
        REFUSED(eden_step(o, error), EDEN_E_GRADIENT, "step 1 refused: the gradient of 'w' is NaN at element 0, "
                "with the loss times 6.103515625e-05; nothing has changed");
    assert_true(eden_loss_scale(o) == 0x1p-14 && eden_skipped(o) == 2);
    eden_optimizer_destroy(o);

    c = config_of(0x1p31, 1, EDEN_REFUSE);
    g[0] = 0;
    o = one("sgd", &c, "lr=1", w, g, 1);
    for (int i = 0; i < 3; i++) OK(eden_step(o, error));
    assert_true(eden_loss_scale(o) == 0x1p32);
    g[0] = FLT_MAX; /* 2^96 once divided, and that is too large to square */
    REFUSED(eden_step(o, error), EDEN_E_GRADIENT, "with the loss times 4294967296, too large to square");
    assert_true(eden_loss_scale(o) == 0x1p32 && eden_skipped(o) == 0);
    g[0] = 0x1p95f; /* 2^63 is not */
    OK(eden_step(o, error));
    assert_true(w[0] == -0x1p63f);
    eden_optimizer_destroy(o);
}

/* What f16 gradients lose without a scale. */
static void test_small(void **state)
{
    (void)state;
    for (int scaled = 0; scaled < 2; scaled++) {
        const eden_config c = config_of(scaled ? 65536 : 0, 0, EDEN_REFUSE);
        float w[1] = { 0 };
        uint16_t g[1];
        eden_optimizer *o = NULL;
        eden_tensor t = eden_vector(w, NULL, 1);
        t.grad = g, t.grad_dtype = EDEN_F16;
        OK(eden_optimizer_create(&o, "sgd", &c, error));
        OK(eden_set(o, NULL, "lr", 1, error));
        OK(eden_add_tensor(o, "w", &t, NULL, error));
        /* 2^-27 is below a half of the least f16; times 2^16 it is 2^-11. */
        g[0] = eden_loss_scale(o) == 65536 ? (15 - 11) << 10 : 0;
        OK(eden_step(o, error));
        assert_true(w[0] == (scaled ? -0x1p-27f : 0));
        eden_optimizer_destroy(o);
    }
}

/* A skipped step leaves the look-ahead point, and gradients as after any step. */
static void test_skip_settles(void **state)
{
    float w[2] = { 1, 2 }, g[2] = { 1, 1 }, before[2];
    eden_config c = config_of(2, 0, EDEN_REFUSE);
    (void)state;
    c.zero_grad = 1;
    eden_optimizer *o = one("sgd", &c, "lr=0.5,momentum=0.5,lookahead=1", w, g, 2);
    for (int i = 0; i < 2; i++) {
        OK(eden_lookahead_begin(o, error));
        g[0] = g[1] = 1;
        OK(eden_step(o, error));
    }
    memcpy(before, w, sizeof w);
    OK(eden_lookahead_begin(o, error));
    assert_true(w[0] != before[0]);
    g[1] = NAN;
    OK(eden_step(o, error));
    assert_memory_equal(w, before, sizeof w);
    assert_true(g[0] == 0 && g[1] == 0 && eden_loss_scale(o) == 1);
    eden_optimizer_destroy(o);
}

/* ---- checkpoints ---------------------------------------------------------------------- */

static void scaled_steps(eden_optimizer *o, float *g, int from, int to)
{
    for (int t = from; t < to; t++) {
        for (size_t i = 0; i < 8; i++) g[i] = (float)eden_loss_scale(o) * (float)(t % 3 + 1);
        if (t % 7 == 3) g[5] = INFINITY;
        OK(eden_step(o, error));
    }
}

static void test_resume(void **state)
{
    (void)state;
    for (int stop = 0; stop < 20; stop++) {
        const eden_config c = config_of(64, 3, EDEN_SKIP);
        float w[8] = { 0 }, v[8] = { 0 }, g[8];
        eden_optimizer *a = one("adam", &c, "", w, g, 8), *b = one("adam", &c, "", v, g, 8);
        scaled_steps(a, g, 0, stop);
        OK(eden_save(a, file("a"), 0, error));
        scaled_steps(b, g, 3, 9); /* what was before is not in the way */
        OK(eden_load(b, file("a"), 0, error));
        assert_true(eden_loss_scale(a) == eden_loss_scale(b));
        scaled_steps(a, g, stop, 20);
        scaled_steps(b, g, stop, 20);
        OK(eden_save(a, file("b"), 0, error));
        OK(eden_save(b, file("c"), 0, error));
        same_files(file("b"), file("c"), "resumed");
        eden_optimizer_destroy(a);
        eden_optimizer_destroy(b);
    }
}

static void test_files(void **state)
{
    static const struct { const char *key, *value; eden_status want; const char *part; } cases[] = {
        { "eden.loss_scale_now", NULL, EDEN_E_FORMAT, "eden.loss_scale_now is missing" },
        { "eden.loss_scale_now", "3", EDEN_E_FORMAT, "eden.loss_scale_now = '3'" },
        { "eden.loss_scale_now", "x", EDEN_E_FORMAT, "eden.loss_scale_now = 'x'" },
        { "eden.loss_scale_good", NULL, EDEN_E_FORMAT, "eden.loss_scale_good is missing" },
        { "eden.loss_scale_good", "3", EDEN_E_FORMAT, "eden.loss_scale_good = '3'" },
        { "eden.loss_scale", "32", EDEN_E_MISMATCH, "config.loss_scale is 32 in the file and 64 here" },
        { "eden.loss_scale", NULL, EDEN_E_FORMAT, "eden.loss_scale_good = '2' makes no sense" },
        { "eden.loss_scale_window", "4", EDEN_E_MISMATCH, "loss_scale_window is 4 in the file and 3 here" },
    };
    float w[8] = { 0 }, g[8], v[8] = { 0 };
    eden_config c = config_of(64, 3, EDEN_SKIP);
    eden_optimizer *o = one("sgd", &c, "", w, g, 8);
    (void)state;
    scaled_steps(o, g, 0, 2);
    OK(eden_save(o, file("a"), 0, error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = changed(file("a"), (change){ .key = cases[i].key, .value = cases[i].value });
        REFUSED(eden_load(o, path, 0, error), cases[i].want, cases[i].part);
        assert_true(eden_loss_scale(o) == 64 && eden_steps(o) == 2);
    }
    /* As many good steps as the window here has are right with the file's own. */
    const char *wider = changed(file("a"), (change){ .key = "eden.loss_scale_window", .value = "4" });
    REFUSED(eden_load(o, changed(wider, (change){ .key = "eden.loss_scale_good", .value = "3" }), 0, error),
            EDEN_E_MISMATCH, "loss_scale_window is 4 in the file and 3 here");
    c = config_of(0, 0, EDEN_SKIP);
    eden_optimizer *plain = one("sgd", &c, "", v, g, 8);
    REFUSED(eden_load(plain, file("a"), 0, error), EDEN_E_MISMATCH,
            "config.loss_scale is 64 in the file and 0 here; config.loss_scale_window is 3");
    OK(eden_load(plain, file("a"), EDEN_WEIGHTS, error));
    assert_memory_equal(v, w, sizeof v);
    eden_optimizer_destroy(o);
    eden_optimizer_destroy(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_exact),
        cmocka_unit_test(test_dynamics), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_small), cmocka_unit_test(test_skip_settles),
        IN_FOLDER(test_resume), IN_FOLDER(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
