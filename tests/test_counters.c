/* test_counters.c - steps that do not stick or wrap, and what depends on their number,
 * against accounts in long double that never subtract nearly equal numbers. */
#include "tests/checkpoint_model.h"

#include <float.h>
#include <math.h>

#include "tests/rule_tensor.h"

/* float32 holds no odd numbers above 2^24, double none above 2^53; 2^31 and 2^32 end
 * the other ways to count. */
static const uint64_t edges[] = {
    1, 2, 3, 10, 1000, (1u << 24) - 1, 1u << 24, (1u << 24) + 1, 1000000000, UINT64_C(0x7fffffff),
    UINT64_C(0x80000000), UINT64_C(0xffffffff), UINT64_C(0x100000000), (UINT64_C(1) << 53) - 1,
    (UINT64_C(1) << 53) + 1, UINT64_C(1) << 63, UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX,
};
enum { EDGES = sizeof edges / sizeof *edges };

/* In units of 2^-24, what is not as it should be. */
static double off_by(double got, long double want)
{
    return (double)(fabsl((long double)got - want) / fabsl(want)) * 0x1p24;
}

/* 1 - beta^t */
static long double correction(double beta, uint64_t t)
{
    return beta == 0 ? 1 : -expm1l((long double)t * log1pl(-(1 - (long double)beta)));
}

/* ---- at the level of rules ----------------------------------------------------------- */

/* The step that a rule takes from nothing at time t on the gradient 1. */
static double first_step(const eden_rule *rule, const double *hypers, uint64_t t, float *state)
{
    const eden_extent x = { 1, 1, 1, 0 };
    tensor a;
    tensor_init(&a, rule, hypers, x);
    a.grad[0] = 1;
    tensor_step(&a, t);
    const double step = -(double)a.array[0][0];
    if (state) *state = a.array[1][0];
    tensor_free(&a);
    return step;
}

static const eden_rule *rule_with(const char *name, double *hypers, const char *const *settings,
                                  const double *values)
{
    const eden_rule *rule = eden_rule_find(name, NULL);
    assert_int_equal(eden_rule_defaults(rule, hypers, ROOM), EDEN_OK);
    for (size_t i = 0; settings[i]; i++) {
        const size_t h = eden_rule_hyper_index(rule, settings[i]);
        assert_true(h != SIZE_MAX);
        hypers[h] = values[i];
    }
    return rule;
}

static const double betas[] = { 0, 0.5, 0.9, 0.999, 0.9999, 1 - 1e-6, 1 - 0x1p-23, 1 - 0x1p-24 };
enum { BETAS = sizeof betas / sizeof *betas };

/* (1 - b1) / (1 - b1^t) over the root of the same of b2. */
static void test_two_betas(void **state)
{
    static const char *const rules[] = { "adam", "adamw", "lamb" };
    static const char *const settings[] = { "lr", "eps", "weight_decay", "beta1", "beta2", NULL };
    double hypers[ROOM];
    (void)state;
    for (size_t r = 0; r < 3; r++)
        for (size_t b = 0; b < BETAS * BETAS; b++) {
            const double b1 = betas[b / BETAS], b2 = betas[b % BETAS];
            const eden_rule *rule = rule_with(rules[r], hypers, settings, (double[]){ 1, 0, 0, b1, b2 });
            if (r == 2) hypers[eden_rule_hyper_index(rule, "adapt")] = 1; /* no decay, so a ratio of 1 */
            for (size_t i = 0; i < EDGES; i++) {
                const long double m = (1 - (long double)b1) / correction(b1, edges[i]);
                const long double v = (1 - (long double)b2) / correction(b2, edges[i]);
                const double got = first_step(rule, hypers, edges[i], NULL);
                if (off_by(got, m / sqrtl(v)) > 4)
                    fail_msg("%s, betas 1 - %g and 1 - %g, step %llu: %.9g", rules[r], 1 - b1, 1 - b2,
                             (unsigned long long)edges[i], got);
            }
        }
}

static void test_one_decay(void **state)
{
    static const char *const settings[] = { "lr", "eps", "bias_correction", "alpha", NULL };
    double hypers[ROOM];
    (void)state;
    for (size_t b = 0; b < BETAS; b++) {
        const eden_rule *rule = rule_with("rmsprop", hypers, settings, (double[]){ 1, 0, 1, betas[b] });
        for (size_t i = 0; i < EDGES; i++) {
            const long double v = (1 - (long double)betas[b]) / correction(betas[b], edges[i]);
            assert_true(off_by(first_step(rule, hypers, edges[i], NULL), 1 / sqrtl(v)) < 4);
        }
    }
}

/* The mean square begins as t^-0.8; the rate falls as 1 / (1 + (t - 1) decay). */
static void test_falling_rates(void **state)
{
    static const char *const factored[] = { "decay_rate", "eps1", NULL };
    static const char *const summed[] = { "lr", "eps", "lr_decay", NULL };
    double hypers[ROOM];
    float v = 0;
    (void)state;
    for (size_t i = 0; i < EDGES; i++) {
        const long double t = (long double)edges[i];
        const eden_rule *rule = rule_with("adafactor", hypers, factored, (double[]){ 0.8, 0 });
        first_step(rule, hypers, edges[i], &v);
        assert_true(off_by((double)v, powl(t, -(long double)0.8)) < 4);
        rule = rule_with("adagrad", hypers, summed, (double[]){ 1, 0, 0.37 });
        assert_true(off_by(first_step(rule, hypers, edges[i], NULL), 1 / (1 + (t - 1) * (long double)0.37)) < 4);
    }
}

/* ---- from checkpoints ----------------------------------------------------------------------- */

enum { VALUES = 3 };

typedef struct {
    eden_optimizer *o;
    float w[VALUES], g[VALUES];
} small;

static void begin(small *s, const char *rule, const eden_config *config)
{
    memset(s, 0, sizeof *s);
    eden_tensor t = eden_vector(s->w, s->g, VALUES);
    for (int i = 0; i < VALUES; i++) s->w[i] = (float)i - 1, s->g[i] = 0.5f * (float)i - 0.25f;
    OK(eden_optimizer_create(&s->o, rule, config, error));
    OK(eden_add_tensor(s->o, "w", &t, NULL, error));
}

/* The optimizer as if it had taken so many steps, from a file that says so. */
static void load_counts(small *s, const char *const *keys, uint64_t count)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)count);
    OK(eden_save(s->o, file("a"), 0, error));
    const char *path = file("a");
    for (size_t i = 0; keys[i]; i++) path = changed(path, (change){ .key = keys[i], .value = text });
    OK(eden_load(s->o, path, 0, error));
}

static const char *const step_keys[] = { "eden.steps", "eden.steps.w", NULL };

static void has_steps(const small *s, uint64_t want)
{
    uint64_t steps;
    OK(eden_tensor_steps(s->o, "w", &steps, error));
    assert_true(steps == want && eden_steps(s->o) == want);
}

/* Two steps from a count, by the rule alone with the same settings. */
static void same_as_rule(const char *name, uint64_t count)
{
    const eden_rule *rule = eden_rule_find(name, NULL);
    const eden_extent x = { VALUES, 1, VALUES, 0 };
    double hypers[ROOM];
    tensor a;
    small s;
    begin(&s, name, NULL);
    assert_int_equal(eden_rule_defaults(rule, hypers, ROOM), EDEN_OK);
    tensor_init(&a, rule, hypers, x);
    memcpy(a.array[0], s.w, sizeof s.w);
    memcpy(a.grad, s.g, sizeof s.g);
    tensor_step(&a, 1); /* so that there is state */
    OK(eden_step(s.o, error));
    load_counts(&s, step_keys, count);
    for (uint64_t k = 1; k <= 2; k++) {
        OK(eden_step(s.o, error));
        tensor_step(&a, count + k);
        has_steps(&s, count + k);
        if (memcmp(a.array[0], s.w, sizeof s.w) != 0) fail_msg("%s: step %llu", name, (unsigned long long)(count + k));
    }
    tensor_free(&a);
    eden_optimizer_destroy(s.o);
}

static void test_step_twice(void **state)
{
    static const uint64_t counts[] = { (1u << 24) - 1, UINT64_C(0x7fffffff), UINT64_C(0xffffffff),
                                       (UINT64_C(1) << 53) - 1, UINT64_MAX - 2 };
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            same_as_rule(eden_rule_name(eden_rule_at(r)), counts[i]);
}

/* 2^64 - 2, one step, and then no more, with nothing changed, saved and loaded as it is. */
static void test_last_step(void **state)
{
    (void)state;
    for (size_t r = 0; r < eden_rule_count(); r++) {
        float before[VALUES];
        small s;
        begin(&s, eden_rule_name(eden_rule_at(r)), NULL);
        load_counts(&s, step_keys, UINT64_MAX - 1);
        OK(eden_step(s.o, error));
        has_steps(&s, UINT64_MAX);
        memcpy(before, s.w, sizeof before);
        for (int k = 0; k < 2; k++) {
            REFUSED(eden_step(s.o, error), EDEN_E_OVERFLOW, "2^64 - 1 steps");
            has_steps(&s, UINT64_MAX);
            assert_memory_equal(before, s.w, sizeof before);
            OK(eden_save(s.o, file("b"), 0, error));
            OK(eden_load(s.o, file("b"), 0, error));
        }
        eden_optimizer_destroy(s.o);
    }
}

static void test_last_skip(void **state)
{
    static const char *const keys[] = { "eden.skipped", NULL };
    (void)state;
    for (int scaled = 0; scaled < 2; scaled++) {
        eden_config c = EDEN_CONFIG_INIT;
        small s;
        if (scaled) c.loss_scale = 1024;
        else c.nonfinite = EDEN_SKIP;
        begin(&s, "adam", &c);
        load_counts(&s, keys, UINT64_MAX - 1);
        s.g[1] = NAN;
        OK(eden_step(s.o, error));
        assert_true(eden_skipped(s.o) == UINT64_MAX);
        const double scale = eden_loss_scale(s.o);
        REFUSED(eden_step(s.o, error), EDEN_E_OVERFLOW, "skipped 2^64 - 1 steps");
        assert_true(eden_skipped(s.o) == UINT64_MAX && eden_loss_scale(s.o) == scale);
        eden_optimizer_destroy(s.o);
    }
}

/* ---- other counts ------------------------------------------------------------------------------- */

static const char *const average_keys[] = { "eden.steps", "eden.steps.w", "eden.averaged.w", NULL };

/* What the average gives to weights of 1 after so many averagings of 0. */
static double gain_after(uint64_t count, uint32_t kind, double decay)
{
    eden_config c = EDEN_CONFIG_INIT;
    float average[VALUES];
    uint64_t n;
    small s;
    c.average = kind;
    c.average_decay = decay;
    begin(&s, "sgd", &c);
    memset(s.w, 0, sizeof s.w), memset(s.g, 0, sizeof s.g);
    OK(eden_step(s.o, error));
    load_counts(&s, average_keys, count);
    for (int i = 0; i < VALUES; i++) s.w[i] = 1;
    OK(eden_step(s.o, error));
    OK(eden_get_average(s.o, "w", average, VALUES, &n, error));
    eden_optimizer_destroy(s.o);
    return (double)average[0];
}

static void test_averages(void **state)
{
    static const double decays[] = { 1e-300, 0.1, 0.9, 0.999, 1 - 1e-8, 1 - 1e-12, 1 - 0x1p-53 };
    (void)state;
    for (size_t i = 0; i + 1 < EDGES; i++) {
        const uint64_t n = edges[i] + 1;
        assert_true(off_by(gain_after(edges[i], EDEN_SWA, 0), 1 / (long double)n) < 1);
        for (size_t d = 0; d < sizeof decays / sizeof *decays; d++) {
            /* Powers by squaring are off by n units in the last place of a double. */
            if (n > 1000 && d > 4 && n < UINT64_MAX / 2) continue;
            const long double want = (1 - (long double)decays[d]) / correction(decays[d], n);
            const double got = gain_after(edges[i], EDEN_EMA, decays[d]);
            if (off_by(got, want) > 2)
                fail_msg("decay 1 - %g, averaging %llu: %.9g", 1 - decays[d], (unsigned long long)n, got);
        }
    }
}

/* The widest window: the scale doubles when it is full and its count begins again. */
static void test_widest_window(void **state)
{
    static const char *const keys[] = { "eden.loss_scale_good", NULL };
    eden_config c = EDEN_CONFIG_INIT;
    small s;
    (void)state;
    c.loss_scale = 8, c.loss_scale_window = UINT32_MAX;
    begin(&s, "adam", &c);
    load_counts(&s, keys, UINT32_MAX - 2);
    OK(eden_step(s.o, error));
    assert_true(eden_loss_scale(s.o) == 8);
    OK(eden_step(s.o, error));
    assert_true(eden_loss_scale(s.o) == 16);
    OK(eden_step(s.o, error));
    assert_true(eden_loss_scale(s.o) == 16);
    eden_optimizer_destroy(s.o);
}

/* Schedules take the whole count. */
static void test_late_schedules(void **state)
{
    static const struct { const char *text; uint64_t step; double value; } late[] = {
        { "inverse_sqrt(4)", UINT64_C(1) << 62, 0x1p-30 },
        { "step(4503599627370496, 0.5)", UINT64_C(1) << 56, 0x1p-15 },
        { "step(4503599627370496, 0.5)", (UINT64_C(1) << 56) + 1, 0x1p-16 },
        { "exponential(0.5, 1125899906842624)", (UINT64_C(1) << 53) + 1, 0x1p-8 },
        { "linear(4503599627370496, end=0.5)", UINT64_C(1) << 51, 0.75 },
        { "linear(4503599627370496, end=0.5)", UINT64_MAX, 0.5 },
        { "warmup(4503599627370496)", UINT64_C(1) << 50, 0.25 },
        { "warmup(4503599627370496)", UINT64_MAX, 1 },
        { "cosine(10, end=0.25)", UINT64_MAX, 0.25 },
        { "multistep(0.5, 9007199254740990, 9007199254740991)", (UINT64_C(1) << 53) - 2, 1 },
        { "multistep(0.5, 9007199254740990, 9007199254740991)", (UINT64_C(1) << 53) - 1, 0.5 },
        { "multistep(0.5, 9007199254740990, 9007199254740991)", UINT64_C(1) << 53, 0.25 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        double value = -1;
        OK(eden_schedule_value(late[i].text, late[i].step, &value, error));
        if (value != late[i].value)
            fail_msg("%s at %llu: %.17g", late[i].text, (unsigned long long)late[i].step, value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_betas), cmocka_unit_test(test_one_decay),
        cmocka_unit_test(test_falling_rates), IN_FOLDER(test_step_twice),
        IN_FOLDER(test_last_step), IN_FOLDER(test_last_skip),
        IN_FOLDER(test_averages), IN_FOLDER(test_widest_window),
        cmocka_unit_test(test_late_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
