/* test_refused_batch.c - a step of several micro-batches that is refused changes nothing,
 * and there are two ways on: mend the gradient, or give the micro-batches up. */
#include "tests/checkpoint_model.h"

#include <math.h>

typedef struct {
    float w[2], g[2];
    eden_optimizer *o;
} one;

/* Two of three micro-batches are there, and the third is bad. */
static void begin(one *m, uint32_t zero_grad)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.accumulate = 3, c.zero_grad = zero_grad;
    *m = (one){ { 5, 5 }, { 0, 0 }, NULL };
    const eden_tensor t = eden_vector(m->w, m->g, 2);
    OK(eden_optimizer_create(&m->o, "sgd", &c, error));
    OK(eden_set(m->o, NULL, "lr", 1, error));
    OK(eden_add_tensor(m->o, "w", &t, NULL, error));
    for (int i = 0; i < 3; i++) {
        m->g[0] += 1, m->g[1] = i < 2 ? m->g[1] + 2 : NAN;
        if (i < 2) OK(eden_step(m->o, error));
    }
    REFUSED(eden_step(m->o, error), EDEN_E_GRADIENT, "NaN at element 1; nothing has changed");
    assert_true(m->w[0] == 5 && m->w[1] == 5 && m->g[0] == 3);
    assert_int_equal(eden_steps(m->o), 0);
    REFUSED(eden_save(m->o, file("a"), 0, error), EDEN_E_ORDER, "2 of 3 micro-batches are pending");
}

static void test_mend(void **state)
{
    one m;
    (void)state;
    begin(&m, 0);
    REFUSED(eden_step(m.o, error), EDEN_E_GRADIENT, "NaN"); /* and again */
    m.g[1] = 6;
    OK(eden_step(m.o, error));
    assert_int_equal(eden_steps(m.o), 1);
    assert_true(m.w[0] == 4 && m.w[1] == 3); /* 5 - 3/3, 5 - 6/3 */
    OK(eden_save(m.o, file("a"), 0, error));
    eden_optimizer_destroy(m.o);
}

/* The loop that everybody writes goes on with three new micro-batches. */
static void test_give_up(void **state)
{
    one m;
    (void)state;
    for (uint32_t zero = 0; zero < 2; zero++) {
        begin(&m, zero);
        for (int i = 0; i < 3; i++) {
            OK(eden_zero_grad(m.o, error));
            assert_true(m.g[0] == (float)i && m.g[1] == (float)i);
            assert_int_equal(eden_steps(m.o), 0);
            m.g[0] += 1, m.g[1] += 1;
            OK(eden_step(m.o, error));
        }
        assert_int_equal(eden_steps(m.o), 1);
        assert_true(m.w[0] == 4 && m.w[1] == 4);
        eden_optimizer_destroy(m.o);
    }
}

/* A refusal for another reason keeps the micro-batches, eden_zero_grad() or not. */
static void test_other_reason(void **state)
{
    one m;
    (void)state;
    begin(&m, 0);
    OK(eden_zero_grad(m.o, error));
    for (int i = 0; i < 2; i++) {
        m.g[0] += 1;
        OK(eden_step(m.o, error));
    }
    const eden_tensor again = eden_vector(m.w, NULL, 2);
    OK(eden_add_tensor(m.o, "again", &again, NULL, error));
    REFUSED(eden_step(m.o, error), EDEN_E_ARGUMENT, "");
    OK(eden_zero_grad(m.o, error));
    assert_true(m.g[0] == 2);
    eden_optimizer_destroy(m.o);
}

/* The tensor that is named has a gradient, whoever before it has none. */
static void test_without_gradient(void **state)
{
    float w[2] = { 1, 1 }, g[2] = { 1, INFINITY };
    eden_optimizer *o = NULL;
    (void)state;
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    eden_tensor t = eden_vector(w, NULL, 2);
    float other[2] = { 1, 1 };
    OK(eden_add_tensor(o, "none", &t, NULL, error));
    t.data = other, t.grad = g;
    OK(eden_add_tensor(o, "bad", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_GRADIENT, "the gradient of 'bad' is infinite at element 1");
    g[1] = 1;
    OK(eden_step(o, error));
    assert_true(w[0] == 1 && w[1] == 1 && other[1] < 1);
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mend, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_give_up, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_other_reason, make_folder, remove_folder),
        cmocka_unit_test(test_without_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
