/* test_plan_values.c - a value that is set does not remake the plan, unless slots or passes
 * come or go with it; bits are as if it always did. And gradients are found by name in
 * whatever order they are set. */
#include "tests/checkpoint_model.h"
#include "tests/failing_memory.h"

enum { ROWS = 40, COLS = 30, COUNT = ROWS * COLS, SMALL = 300 };

typedef struct {
    eden_optimizer *o;
    float w[COUNT], gw[COUNT], v[SMALL], gv[SMALL];
    uint64_t calls;
    int groups;
} world;

static world *make(const char *rule)
{
    eden_config c = EDEN_CONFIG_INIT;
    world *x = calloc(1, sizeof *x);
    assert_non_null(x);
    c.threads = 2;
    fill(x->w, COUNT, 1), fill(x->v, SMALL, 2);
    const eden_tensor w = eden_matrix(x->w, x->gw, ROWS, COLS), v = eden_vector(x->v, x->gv, SMALL);
    OK(eden_optimizer_create(&x->o, rule, &c, error));
    OK(eden_add_group(x->o, "heir", NULL, NULL, error));
    OK(eden_add_tensor(x->o, "w", &w, NULL, error));
    OK(eden_add_tensor(x->o, "v", &v, "heir", error));
    return x;
}

static void unmake(world *x)
{
    eden_optimizer_destroy(x->o);
    free(x);
}

/* Another group has the next step make its plan anew. */
static void remake(world *x)
{
    char name[16];
    snprintf(name, sizeof name, "g%d", x->groups++);
    OK(eden_add_group(x->o, name, "sgd", NULL, error));
}

static eden_status step(world *x, eden_error *e)
{
    fill(x->gw, COUNT, 100 + x->calls), fill(x->gv, SMALL, 200 + x->calls);
    x->calls++;
    eden_lookahead_begin(x->o, NULL); /* refused by all but one setting of one rule */
    return eden_step(x->o, e);
}

static void same(world *a, world *b, const char *what)
{
    if (memcmp(a->w, b->w, sizeof a->w) || memcmp(a->v, b->v, sizeof a->v)) fail_msg("%s: other weights", what);
    if (eden_state_bytes(a->o) != eden_state_bytes(b->o)) fail_msg("%s: other state", what);
}

/* ---- every setting -------------------------------------------------------------------- */

/* Both the same way; a value that does not go with the others is refused in the same words. */
static void set_both(world *a, world *b, const char *group, const char *name, double value)
{
    eden_error e = { 0, "" }, f = { 0, "" };
    OK(eden_set(a->o, group, name, value, error));
    OK(eden_set(b->o, group, name, value, error));
    for (int t = 0; t < 2; t++) {
        remake(b);
        assert_int_equal(step(a, &e), step(b, &f));
        assert_string_equal(e.text, f.text);
        same(a, b, name);
    }
}

static void try_setting(const eden_rule *rule, const char *name, const eden_hyper *h, const char *group)
{
    const double tries[] = { 0, 1, 2, 0.5, 0.9, 64 };
    world *a = make(name), *b = make(name);
    double before;
    OK(eden_get(a->o, NULL, h->name, &before, error));
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        if (!eden_rule_allows(rule, eden_rule_hyper_index(rule, h->name), tries[i])) continue;
        set_both(a, b, group, h->name, tries[i]);
        set_both(a, b, group, h->name, before);
    }
    unmake(a), unmake(b);
}

static void test_every_setting(void **state)
{
    const eden_rule *rule;
    const eden_hyper *h;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++) {
        const eden_preset *preset = NULL;
        for (size_t p = 0; p == 0 || preset; p++) {
            const char *name = p ? preset->name : eden_rule_name(rule);
            for (size_t i = 0; (h = eden_rule_hyper(rule, i)); i++) {
                try_setting(rule, name, h, NULL);
                try_setting(rule, name, h, "heir");
            }
            preset = eden_rule_preset(rule, p);
        }
    }
}

/* ---- a slot that comes and goes ---------------------------------------------------------- */

/* Worked out by hand in numbers that floats hold: lr 0.5 and gradients of 4. */
static void test_momentum(void **state)
{
    static const struct { double momentum; float w; } steps[] = {
        { 0, -2 },     /* w -= 0.5 * 4 */
        { 0.5, -4 },   /* b = 4        */
        { 0.5, -7 },   /* b = 6        */
        { 0.25, -9.75f }, /* b = 5.5: another value, the same slots */
        { 0, -11.75f },
        { 0.5, -13.75f }, /* from zeros: b = 4 */
        { 0.5, -16.75f },
    };
    float w = 0, g = 4;
    const eden_tensor t = eden_vector(&w, &g, 1);
    eden_optimizer *o = NULL;
    (void)state;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    OK(eden_set(o, NULL, "lr", 0.5, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        OK(eden_set(o, NULL, "momentum", steps[i].momentum, error));
        OK(eden_step(o, error));
        assert_true(w == steps[i].w);
        assert_int_equal(eden_state_bytes(o), steps[i].momentum > 0 ? 4 : 0);
    }
    eden_optimizer_destroy(o);
}

/* A value that is bad with others is found, and the plan is not lost by that. */
static void test_refused(void **state)
{
    world *a = make("momentum"), *b = make("momentum");
    (void)state;
    OK(step(a, error));
    OK(step(b, error));
    OK(eden_set(a->o, NULL, "nesterov", 1, error));
    OK(eden_set(a->o, NULL, "dampening", 0.5, error));
    REFUSED(eden_step(a->o, error), EDEN_E_VALUE, "nesterov wants dampening = 0");
    REFUSED(eden_step(a->o, error), EDEN_E_VALUE, "nesterov wants dampening = 0");
    OK(eden_set_text(a->o, NULL, "nesterov=0, dampening=0", error));
    OK(step(a, error));
    OK(step(b, error));
    same(a, b, "mended");
    unmake(a), unmake(b);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static long calls_of_step(world *x)
{
    memory_arm(0, 0);
    OK(step(x, error));
    memory.armed = 0;
    return memory.calls;
}

static void test_no_memory(void **state)
{
    world *x = make("sgd");
    (void)state;
    assert_true(calls_of_step(x) > 0);
    assert_int_equal(calls_of_step(x), 0);
    for (int i = 1; i < 5; i++) {
        OK(eden_set(x->o, NULL, "lr", 0.1 / i, error));
        OK(eden_set_text(x->o, "heir", "lr=0.25", error));
        assert_int_equal(calls_of_step(x), 0);
    }
    OK(eden_set(x->o, NULL, "momentum", 0.9, error));
    assert_true(calls_of_step(x) > 0);
    OK(eden_set(x->o, NULL, "momentum", 0.8, error));
    assert_int_equal(calls_of_step(x), 0);
    remake(x);
    OK(eden_set(x->o, NULL, "momentum", 0.7, error));
    assert_true(calls_of_step(x) > 0);
    unmake(x);
}

/* ---- gradients by name ------------------------------------------------------------------------- */

/* In turn, backwards, one of them many times, and one that is not there: weights tell
 * which gradient was taken. */
static void test_gradients(void **state)
{
    enum { N = 5 };
    static const int orders[][N] = { { 0, 1, 2, 3, 4 }, { 0, 1, 2, 3, 4 }, { 4, 3, 2, 1, 0 },
                                     { 2, 2, 2, 2, 2 }, { 3, 4, 0, 1, 2 }, { 1, 0, 3, 2, 4 } };
    static const char *const names[N] = { "a", "b", "c", "d", "e" };
    float w[N] = { 0 }, g[N] = { 1, 2, 4, 8, 16 }, want[N] = { 0 };
    eden_optimizer *o = NULL;
    (void)state;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    REFUSED(eden_set_grad(o, "a", g, error), EDEN_E_NAME, "no tensor is called 'a'");
    REFUSED(eden_set_grad(NULL, "a", g, error), EDEN_E_ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_grad(o, NULL, g, error), EDEN_E_ARGUMENT, "name is NULL");
    OK(eden_set(o, NULL, "lr", 1, error));
    for (int i = 0; i < N; i++) {
        const eden_tensor t = eden_vector(&w[i], NULL, 1);
        OK(eden_add_tensor(o, names[i], &t, NULL, error));
    }
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
        for (int i = 0; i < N; i++) {
            const int n = orders[k][i];
            OK(eden_set_grad(o, names[n], &g[n], error));
            if (i == 2) REFUSED(eden_set_grad(o, "none", g, error), EDEN_E_NAME, "no tensor is called 'none'");
        }
        OK(eden_step(o, error));
        for (int i = 0; i < N; i++) {
            int given = 0;
            for (int j = 0; j < N; j++) given |= orders[k][j] == i;
            want[i] -= given ? g[i] : 0;
            assert_true(w[i] == want[i]);
            OK(eden_set_grad(o, names[i], NULL, error));
        }
    }
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting), cmocka_unit_test(test_momentum), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
