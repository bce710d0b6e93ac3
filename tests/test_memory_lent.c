/* test_memory_lent.c - state in the caller's memory: the same bits as in Eden's own, with
 * every rule, way to store, thread count and instruction set; taken over, moved and
 * given back in the middle of a run. */
#include "tests/lent_state.h"

#include <math.h>

static eden_config with_threads(unsigned n)
{
    static const uint32_t threads[] = { 1, 3, 2, 7 };
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = threads[n % 4];
    c.isa = eden_isa_name(n % eden_isa_count());
    return c;
}

/* What each test does with a rule and a way to store; `n` counts them. */
static void each(void (*test)(const eden_rule *rule, const stored_as *s, unsigned n))
{
    const eden_rule *rule;
    unsigned n = 0;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < ALL_WAYS; i++)
            if (suits(rule, &all_ways[i])) test(rule, &all_ways[i], n++);
    assert_true(n > 50);
}

/* ---- from the first step ---------------------------------------------------------------- */

static void same_bits(const eden_rule *rule, const stored_as *s, unsigned n)
{
    const eden_config one = with_threads(0), many = with_threads(n + 1);
    run *a = begin(s, eden_rule_name(rule), &one), *b = begin(s, eden_rule_name(rule), &many);
    lent l;
    lent_make(&l, b);
    assert_int_equal(eden_state_bytes(b->o), 0);
    lent_begin(&l, b);
    lent_bind(&l, b);
    assert_int_equal(eden_state_bytes(b->o), lent_bytes(&l));
    for (int t = 0; t < 5; t++) {
        run_step(a), run_step(b);
        lent_bind(&l, b); /* again: as it was */
    }
    same_runs(a, b, eden_rule_name(rule));
    same_states(a, b, &l, eden_rule_name(rule));
    assert_int_equal(eden_state_bytes(a->o), lent_bytes(&l));
    assert_int_equal(eden_state_bytes(b->o), lent_bytes(&l));
    for (size_t i = 0; i < l.count; i++) { /* floats can be seen in the memory itself */
        static float x[COUNT];
        uint64_t count;
        if (l.part[i].layout.dtype != EDEN_F32) continue;
        OK(eden_get_state(a->o, l.part[i].tensor, l.part[i].slot, x, COUNT, &count, error));
        assert_memory_equal(x, l.part[i].at, (size_t)count * sizeof *x);
    }
    end(a), end(b);
    lent_free(&l);
}

static void test_same_bits(void **state)
{
    (void)state;
    each(same_bits);
}

/* ---- in the middle of a run ------------------------------------------------------------- */

/* From Eden's memory to ours, to other memory of ours, and back again. */
static void moved(const eden_rule *rule, const stored_as *s, unsigned n)
{
    const eden_config c = with_threads(n);
    run *a = begin(s, eden_rule_name(rule), &c), *b = begin(s, eden_rule_name(rule), &c);
    lent first, second;
    lent_make(&first, b), lent_make(&second, b);
    lent_begin(&first, b);
    lent_bind(&first, b);
    for (int t = 0; t < 2; t++) run_step(a), run_step(b);
    lent_copy(&second, &first);
    lent_bind(&second, b);
    lent_fill(&first, 0x55);
    for (int t = 0; t < 2; t++) run_step(a), run_step(b);
    same_runs(a, b, "moved");
    lent_return(&second, b);
    lent_fill(&second, 0x55);
    const uint64_t before = lent_hash(&second);
    for (int t = 0; t < 2; t++) run_step(a), run_step(b);
    same_runs(a, b, "returned");
    same_states(a, b, &second, "returned");
    assert_true(lent_hash(&second) == before);
    lent_return(&second, b); /* nothing is lent: nothing to do */
    run_step(a), run_step(b);
    same_runs(a, b, "returned twice");
    end(a), end(b);
    lent_free(&first), lent_free(&second);
}

static void test_moved(void **state)
{
    (void)state;
    each(moved);
}

/* A new optimizer goes on from another's weights, state and counts. */
static void taken_over(const eden_rule *rule, const stored_as *s, unsigned n)
{
    const eden_config c = with_threads(n);
    run *a = begin(s, eden_rule_name(rule), &c), *b = begin(s, eden_rule_name(rule), &c);
    lent from, to;
    lent_make(&from, a), lent_make(&to, b);
    lent_begin(&from, a);
    lent_bind(&from, a);
    for (int t = 0; t < 4; t++) run_step(a);
    memcpy(b->data, a->data, sizeof a->data), memcpy(b->data2, a->data2, sizeof a->data2);
    memcpy(b->copy, a->copy, sizeof a->copy), memcpy(b->copy2, a->copy2, sizeof a->copy2);
    lent_copy(&to, &from);
    lent_bind(&to, b);
    for (size_t i = 0; i < 2; i++) {
        uint64_t steps, now;
        OK(eden_tensor_steps(a->o, tensor_names[i], &steps, error));
        OK(eden_set_tensor_steps(b->o, tensor_names[i], steps, error));
        OK(eden_tensor_steps(b->o, tensor_names[i], &now, error));
        assert_int_equal(now, steps);
    }
    assert_int_equal(eden_steps(b->o), 4);
    b->calls = a->calls;
    for (int t = 0; t < 4; t++) run_step(a), run_step(b);
    same_runs(a, b, "taken over");
    same_states(a, b, &to, "taken over");
    end(a), end(b);
    lent_free(&from), lent_free(&to);
}

static void test_taken_over(void **state)
{
    (void)state;
    each(taken_over);
}

/* ---- weights ------------------------------------------------------------------------------ */

/* What is kept beside weights goes on with them when they move. */
static void test_data(void **state)
{
    static _Alignas(64) char elsewhere[sizeof((run *)0)->data];
    (void)state;
    for (size_t i = 0; i < ALL_WAYS; i++) {
        eden_config c = with_threads((unsigned)i);
        c.average = EDEN_SWA;
        run *a = begin(&all_ways[i], "adam", &c), *b = begin(&all_ways[i], "adam", &c);
        for (int t = 0; t < 2; t++) run_step(a), run_step(b);
        memcpy(elsewhere, b->data, sizeof elsewhere);
        memset(b->data, 0x11, sizeof b->data);
        OK(eden_set_data(b->o, "w", elsewhere, error));
        OK(eden_set_data(b->o, "w", elsewhere, error));
        for (int t = 0; t < 2; t++) run_step(a), run_step(b);
        for (size_t k = 0; k < sizeof b->data; k++) assert_int_equal(b->data[k], 0x11);
        assert_memory_equal(a->data, elsewhere, sizeof elsewhere);
        memcpy(b->data, elsewhere, sizeof elsewhere);
        OK(eden_set_data(b->o, "w", b->data, error));
        run_step(a), run_step(b);
        same_runs(a, b, "weights that move");
        end(a), end(b);
    }
}

/* ---- counts --------------------------------------------------------------------------------- */

/* A count is what bias correction goes by: adam's first step is lr whatever the gradient
 * is, and from zeros after 1,000 steps it is lr * (1 - 0.9) / sqrt(1 - 0.999), times what
 * corrections of step 1001 are. */
static void test_counts(void **state)
{
    float w = 0, g = 3;
    uint64_t steps = 0;
    eden_optimizer *o = NULL;
    const eden_tensor t = eden_vector(&w, &g, 1);
    (void)state;
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_set_text(o, NULL, "lr=0.5, eps=1e-30", error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_set_tensor_steps(o, "w", 1000, error));
    assert_int_equal(eden_steps(o), 1000);
    OK(eden_step(o, error));
    const double want = -0.5 * 0.1 / sqrt(0.001) * sqrt(1 - pow(0.999, 1001)) / (1 - pow(0.9, 1001));
    assert_true(fabs((double)w - want) < 1e-6);
    OK(eden_set_tensor_steps(o, "w", 7, error)); /* less for it, and not for the optimizer */
    OK(eden_tensor_steps(o, "w", &steps, error));
    assert_int_equal(steps, 7);
    assert_int_equal(eden_steps(o), 1001);
    OK(eden_set_tensor_steps(o, "w", UINT64_MAX, error));
    REFUSED(eden_step(o, error), EDEN_E_OVERFLOW, "2^64 - 1 steps");
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_moved), cmocka_unit_test(test_taken_over),
        cmocka_unit_test(test_data),      cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
