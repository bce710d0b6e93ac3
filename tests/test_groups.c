/* test_groups.c - settings, groups that inherit them, and schedules on them. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "ok.h"

static eden_optimizer *create(const char *rule)
{
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, rule, NULL, error));
    return o;
}

static double get(const eden_optimizer *o, const char *group, const char *name)
{
    double value = NAN;
    OK(eden_get(o, group, name, &value, error));
    return value;
}

static void refused(eden_status status, eden_status want, const eden_error *e, const char *part)
{
    if (status != want) fail_msg("status %d instead of %d: %s", status, want, e->text);
    if (!strstr(e->text, part)) fail_msg("'%s' does not contain '%s'", e->text, part);
}

/* ---- single values ---------------------------------------------------------------- */

static void test_ranges(void **state)
{
    eden_error e;
    eden_optimizer *o = create("adamw");
    (void)state;
    refused(eden_set(o, NULL, "beta2", 1.5, &e), EDEN_E_VALUE, &e, "adamw: beta2 = 1.5 is outside [0, 1)");
    refused(eden_set(o, NULL, "beta1", 1, &e), EDEN_E_VALUE, &e, "beta1 = 1 is outside [0, 1)");
    refused(eden_set(o, NULL, "beta1", 1 - 1e-8, &e), EDEN_E_VALUE, &e, "rounded to float");
    refused(eden_set(o, NULL, "lr", NAN, &e), EDEN_E_VALUE, &e, "lr = ");
    refused(eden_set(o, NULL, "lr", INFINITY, &e), EDEN_E_VALUE, &e, "lr = ");
    refused(eden_set(o, NULL, "lr", 1e39, &e), EDEN_E_VALUE, &e, "lr = 1e+39 is outside [0, infinity)");
    refused(eden_set(o, NULL, "lr", -1e-3, &e), EDEN_E_VALUE, &e, "lr = -0.001 is outside [0, infinity)");
    refused(eden_set(o, NULL, "bias_correction", 0.5, &e), EDEN_E_VALUE, &e, "none of 0, 1");
    refused(eden_set(o, NULL, "amsgrad", 3, &e), EDEN_E_VALUE, &e, "none of off,raw,corrected");
    refused(eden_set(o, NULL, "amsgrad", -1, &e), EDEN_E_VALUE, &e, "none of");
    refused(eden_set(o, NULL, "beta3", 0, &e), EDEN_E_NAME, &e, "did you mean 'beta");
    refused(eden_set(o, NULL, "zzz", 0, &e), EDEN_E_NAME, &e, "it has lr, beta1");
    refused(eden_set(o, "who", "lr", 0, &e), EDEN_E_NAME, &e, "no group is called 'who'");
    assert_true(get(o, NULL, "beta2") == 0.999 && get(o, NULL, "lr") == 1e-3);
    OK(eden_set(o, NULL, "lr", -0.0, error));
    OK(eden_set(o, NULL, "lr", 1e-46, error));
    OK(eden_set(o, NULL, "lr", 3.4028234e38, error));
    eden_optimizer_destroy(o);
}

/* Every bound of every rule, from both sides. */
static void test_every_bound(void **state)
{
    const eden_rule *rule;
    const eden_hyper *h;
    (void)state;
    for (size_t i = 0; (rule = eden_rule_at(i)); i++)
        for (size_t k = 0; (h = eden_rule_hyper(rule, k)); k++) {
            assert_int_equal(eden_rule_allows(rule, k, h->low), !h->low_open);
            assert_int_equal(eden_rule_allows(rule, k, h->low - 1e-3), 0);
            assert_int_equal(eden_rule_allows(rule, k, NAN), 0);
            assert_int_equal(eden_rule_allows(rule, k, INFINITY), 0);
            assert_int_equal(eden_rule_allows(rule, k, -INFINITY), 0);
            assert_int_equal(eden_rule_allows(rule, k, h->initial), 1);
            if (isinf(h->high)) continue;
            assert_int_equal(eden_rule_allows(rule, k, h->high), !h->high_open);
            assert_int_equal(eden_rule_allows(rule, k, h->high + 1e-3), 0);
            if (h->high_open) assert_int_equal(eden_rule_allows(rule, k, h->high * (1 - 1e-8)), 0);
        }
    assert_int_equal(eden_rule_allows(eden_rule_at(0), 1000, 0), 0);
}

static void test_text(void **state)
{
    eden_error e;
    eden_optimizer *o = create("adam");
    (void)state;
    OK(eden_set_text(o, NULL, " lr = 0.5 ,amsgrad=raw,\tbeta1=0 ", error));
    assert_true(get(o, NULL, "lr") == 0.5 && get(o, NULL, "amsgrad") == 1 && get(o, NULL, "beta1") == 0);
    OK(eden_set_text(o, NULL, "", error));
    refused(eden_set_text(o, NULL, "lr", &e), EDEN_E_VALUE, &e, "'lr' is not name=value");
    refused(eden_set_text(o, NULL, "lr=0.1,lr=0.2", &e), EDEN_E_VALUE, &e, "given twice");
    refused(eden_set_text(o, NULL, "lr=abc", &e), EDEN_E_VALUE, &e, "lr = 'abc'");
    refused(eden_set_text(o, NULL, "lr=0x10", &e), EDEN_E_VALUE, &e, "0x10");
    refused(eden_set_text(o, NULL, "lr=1e999", &e), EDEN_E_VALUE, &e, "1e999");
    refused(eden_set_text(o, NULL, "lr=", &e), EDEN_E_VALUE, &e, "lr = ''");
    refused(eden_set_text(o, NULL, "beta1=0.1,decay=sideways", &e), EDEN_E_VALUE, &e,
            "one of coupled,decoupled");
    assert_true(get(o, NULL, "beta1") == 0); /* all or nothing */
    eden_optimizer_destroy(o);
}

/* ---- combinations ---------------------------------------------------------------------- */

static void test_without_effect(void **state)
{
    eden_error e;
    eden_optimizer *o = create("sgd");
    (void)state;
    OK(eden_set(o, NULL, "nesterov", 1, error)); /* fine until the step */
    refused(eden_step(o, &e), EDEN_E_VALUE, &e,
            "sgd: nesterov = 1 has no effect without momentum above 0");
    OK(eden_set(o, NULL, "momentum", 0.9, error));
    OK(eden_step(o, error));
    OK(eden_set(o, NULL, "dampening", 0.1, error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "nesterov wants dampening = 0");
    eden_optimizer_destroy(o);

    o = create("sgd");
    OK(eden_set_text(o, NULL, "decay=decoupled", error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "decay = decoupled has no effect without weight_decay");
    eden_optimizer_destroy(o);

    o = create("nesterov"); /* a preset counts as said */
    OK(eden_set(o, NULL, "momentum", 0, error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "nesterov = 1 has no effect");
    eden_optimizer_destroy(o);
}

/* A group without decay that inherits how decay works is no mistake; a setting
 * that works in no group is, and so is one a group sets for itself in vain. */
static void test_effect_in_groups(void **state)
{
    eden_error e;
    eden_optimizer *o = create("sgd");
    (void)state;
    OK(eden_set_text(o, NULL, "weight_decay=0.1,decay=decoupled", error));
    OK(eden_add_group(o, "no_decay", NULL, "weight_decay=0", error));
    OK(eden_step(o, error));
    OK(eden_set(o, NULL, "weight_decay", 0, error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "decay = decoupled has no effect");
    OK(eden_add_group(o, "decayed", NULL, "weight_decay=0.2", error));
    OK(eden_step(o, error));
    OK(eden_set(o, "no_decay", "decay", 1, error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "in group 'no_decay'");
    eden_optimizer_destroy(o);

    /* A schedule that replaces a 0 gives the setting its effect. */
    o = create("sgd");
    OK(eden_set(o, NULL, "nesterov", 1, error));
    OK(eden_schedule(o, NULL, "momentum", "absolute(constant(0.5))", error));
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
}

/* ---- groups ------------------------------------------------------------------------------ */

static void test_inheritance(void **state)
{
    eden_error e;
    eden_optimizer *o = create("momentum");
    (void)state;
    OK(eden_add_group(o, "head", NULL, "lr=0.5", error));
    OK(eden_add_group(o, "other", "lion", NULL, error));
    assert_true(get(o, "head", "momentum") == 0.9); /* from the preset */
    OK(eden_set(o, NULL, "lr", 0.25, error));
    OK(eden_set(o, NULL, "momentum", 0.8, error));
    assert_true(get(o, "head", "lr") == 0.5);
    assert_true(get(o, "head", "momentum") == 0.8);
    assert_true(get(o, "other", "lr") == 1e-4);
    assert_string_equal(eden_rule_name(eden_group_rule(o, "other")), "lion");
    assert_string_equal(eden_rule_name(eden_group_rule(o, NULL)), "sgd");
    assert_null(eden_group_rule(o, "nobody"));

    refused(eden_add_group(o, "head", NULL, NULL, &e), EDEN_E_NAME, &e, "already");
    refused(eden_add_group(o, "default", NULL, NULL, &e), EDEN_E_NAME, &e, "already");
    refused(eden_add_group(o, "x", "lyon", NULL, &e), EDEN_E_NAME, &e, "did you mean 'lion'");
    refused(eden_add_group(o, "x", NULL, "lr=-1", &e), EDEN_E_VALUE, &e, "lr = -1");
    refused(eden_set(o, "x", "lr", 1, &e), EDEN_E_NAME, &e, "'x'"); /* was not left half made */
    eden_optimizer_destroy(o);
}

static void test_groups_step(void **state)
{
    float a[2] = { 1, 1 }, b[2] = { 1, 1 }, c[2] = { 1, 1 };
    float ga[2] = { 1, 1 }, gb[2] = { 1, 1 }, gc[2] = { -3, 0 };
    eden_optimizer *o = create("sgd");
    eden_tensor t;
    (void)state;
    OK(eden_set_text(o, NULL, "lr=0.5,weight_decay=0.5", error));
    OK(eden_add_group(o, "no_decay", NULL, "weight_decay=0", error));
    OK(eden_add_group(o, "sign", "lion", "lr=0.125", error));
    t = eden_vector(a, ga, 2);
    OK(eden_add_tensor(o, "a", &t, "default", error));
    t = eden_vector(b, gb, 2);
    OK(eden_add_tensor(o, "b", &t, "no_decay", error));
    t = eden_vector(c, gc, 2);
    OK(eden_add_tensor(o, "c", &t, "sign", error));
    OK(eden_step(o, error));
    assert_true(a[0] == 0.25f && b[0] == 0.5f && c[0] == 1.125f && c[1] == 1);
    assert_int_equal(eden_state_bytes(o), 2 * sizeof(float)); /* lion's m; sgd keeps none */
    eden_optimizer_destroy(o);
}

/* Turning momentum on creates its state, turning it off frees it. */
static void test_state_follows_settings(void **state)
{
    float w[4] = { 0 }, g[4] = { 1, 1, 1, 1 }, b[4];
    uint64_t count;
    eden_error e;
    eden_optimizer *o = create("sgd");
    eden_tensor t = eden_vector(w, g, 4);
    (void)state;
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    assert_int_equal(eden_state_bytes(o), 0);
    OK(eden_get_state(o, "w", "b", NULL, 0, &count, error));
    assert_int_equal(count, 0);
    OK(eden_set(o, NULL, "momentum", 0.5, error));
    OK(eden_step(o, error));
    assert_int_equal(eden_state_bytes(o), 16);
    OK(eden_get_state(o, "w", "b", b, 4, &count, error));
    assert_true(count == 4 && b[0] == 1);
    refused(eden_get_state(o, "w", "b", b, 3, &count, &e), EDEN_E_ARGUMENT, &e, "room is for 3");
    refused(eden_get_state(o, "w", "m", b, 4, &count, &e), EDEN_E_NAME, &e, "no state called 'm'");
    OK(eden_set(o, NULL, "momentum", 0, error));
    OK(eden_step(o, error));
    assert_int_equal(eden_state_bytes(o), 0);
    eden_optimizer_destroy(o);
}

/* ---- schedules ------------------------------------------------------------------------------ */

static double halve(uint64_t step, void *context)
{
    *(int *)context += 1;
    return step == 1 ? 1 : 0.5;
}

static void test_schedules(void **state)
{
    float w[1] = { 0 }, g[1] = { 1 };
    double value;
    int calls = 0;
    eden_error e;
    eden_optimizer *o = create("sgd");
    eden_tensor t = eden_vector(w, g, 1);
    (void)state;
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_schedule(o, NULL, "lr", "linear(4)", error));
    for (int i = 0; i < 5; i++) OK(eden_step(o, error));
    assert_true(w[0] == -1.5f); /* 0.75 + 0.5 + 0.25 + 0 + 0 */
    OK(eden_get_at(o, NULL, "lr", 2, &value, error));
    assert_true(value == 0.5 && get(o, NULL, "lr") == 1);
    OK(eden_schedule_custom(o, NULL, "lr", halve, &calls, error));
    OK(eden_step(o, error));
    assert_true(w[0] == -2 && calls > 0);
    OK(eden_schedule(o, NULL, "lr", NULL, error));
    OK(eden_step(o, error));
    assert_true(w[0] == -3);

    refused(eden_schedule(o, NULL, "lr", "cosin(5)", &e), EDEN_E_VALUE, &e, "cosine");
    refused(eden_schedule(o, NULL, "nesterov", "constant(1)", &e), EDEN_E_VALUE, &e, "cannot be scheduled");
    refused(eden_schedule(o, NULL, "decay", "constant(1)", &e), EDEN_E_VALUE, &e, "cannot be scheduled");
    OK(eden_schedule(o, NULL, "momentum", "absolute(constant(1.5))", error));
    refused(eden_step(o, &e), EDEN_E_VALUE, &e, "the schedule of momentum gives 1.5 at step 8, outside [0, 1)");
    assert_true(w[0] == -3);
    eden_optimizer_destroy(o);
}

static void test_schedule_inheritance(void **state)
{
    double value;
    eden_optimizer *o = create("sgd");
    (void)state;
    OK(eden_add_group(o, "head", NULL, "lr=0.5", error));
    OK(eden_schedule(o, NULL, "lr", "constant(0.5)", error));
    OK(eden_get_at(o, "head", "lr", 1, &value, error));
    assert_true(value == 0.25);
    OK(eden_schedule(o, "head", "lr", "absolute(constant(3))", error));
    OK(eden_get_at(o, "head", "lr", 1, &value, error));
    assert_true(value == 3);
    eden_optimizer_destroy(o);
}

/* Text is read to the nearest double whatever the caller's rounding mode. */
static void test_rounding_mode(void **state)
{
    static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    eden_optimizer *o = create("sgd");
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        eden_error e;
        fesetround(modes[i]);
        const eden_status status = eden_set_text(o, NULL, i % 2 ? "lr=0.3" : "lr=0.7", &e);
        const eden_status bad = eden_set_text(o, NULL, "lr=-0.1", &e);
        const int mode = fegetround();
        fesetround(FE_TONEAREST);
        assert_int_equal(status, EDEN_OK);
        assert_int_equal(mode, modes[i]);
        assert_true(get(o, NULL, "lr") == (i % 2 ? 0.3 : 0.7));
        refused(bad, EDEN_E_VALUE, &e, "lr = -0.1 is outside");
    }
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_every_bound),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_without_effect),
        cmocka_unit_test(test_effect_in_groups),
        cmocka_unit_test(test_inheritance),
        cmocka_unit_test(test_groups_step),
        cmocka_unit_test(test_state_follows_settings),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_schedule_inheritance),
        cmocka_unit_test(test_rounding_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
