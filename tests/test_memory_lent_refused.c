/* test_memory_lent_refused.c - what cannot be kept in the caller's memory, or not now, is
 * refused in a sentence, and then nothing has changed. */
#include "tests/checkpoint_model.h"

enum { N = 300 };

typedef struct {
    eden_optimizer *o;
    float w[N], g[N], m[N + 1], v[N], other[N];
    uint16_t half[N];
} world;

static world *make(const char *rule, const eden_config *config)
{
    world *x = calloc(1, sizeof *x);
    assert_non_null(x);
    fill(x->w, N, 1), fill(x->g, N, 2);
    eden_tensor t = eden_vector(x->w, x->g, N);
    OK(eden_optimizer_create(&x->o, rule, config, error));
    OK(eden_add_tensor(x->o, "w", &t, NULL, error));
    return x;
}

static void unmake(world *x)
{
    eden_optimizer_destroy(x->o);
    free(x);
}

/* ---- arguments ---------------------------------------------------------------------------- */

static void test_names(void **state)
{
    world *x = make("adam", NULL);
    eden_layout l = EDEN_LAYOUT_INIT;
    (void)state;
    REFUSED(eden_set_data(NULL, "w", x->m, error), EDEN_E_ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_data(x->o, NULL, x->m, error), EDEN_E_ARGUMENT, "a tensor's name is NULL");
    REFUSED(eden_set_data(x->o, "u", x->m, error), EDEN_E_NAME, "no tensor is called 'u'");
    REFUSED(eden_set_state(NULL, "w", "m", x->m, 1200, error), EDEN_E_ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_state(x->o, "u", "m", x->m, 1200, error), EDEN_E_NAME, "no tensor is called 'u'");
    REFUSED(eden_set_state(x->o, "w", NULL, x->m, 1200, error), EDEN_E_ARGUMENT, "eden_set_state: slot is NULL");
    REFUSED(eden_set_state(x->o, "w", "n", x->m, 1200, error), EDEN_E_NAME, "adam has no state called 'n'");
    REFUSED(eden_set_state(x->o, "w", "grad", x->m, 1200, error), EDEN_E_NAME, "adam has no state called 'grad'");
    REFUSED(eden_set_state(x->o, "w", "n", NULL, 0, error), EDEN_E_NAME, "adam has no state called 'n'");
    REFUSED(eden_set_state(x->o, "w", "average", x->m, 1200, error), EDEN_E_ARGUMENT,
            "eden_set_state: the average of 'w' is in Eden's own memory; read it with eden_get_average()");
    REFUSED(eden_state_layout(NULL, "w", "m", &l, error), EDEN_E_ARGUMENT, "optimizer is NULL");
    REFUSED(eden_state_layout(x->o, "u", "m", &l, error), EDEN_E_NAME, "no tensor is called 'u'");
    REFUSED(eden_state_layout(x->o, "w", NULL, &l, error), EDEN_E_ARGUMENT, "eden_state_layout: slot is NULL");
    REFUSED(eden_state_layout(x->o, "w", "n", &l, error), EDEN_E_NAME, "adam has no state called 'n'");
    REFUSED(eden_state_layout(x->o, "w", "average", &l, error), EDEN_E_ARGUMENT,
            "eden_state_layout: the average of 'w' is in Eden's own memory");
    REFUSED(eden_state_layout(x->o, "w", "m", NULL, error), EDEN_E_ARGUMENT, "eden_state_layout: layout is NULL");
    l.size = 4;
    REFUSED(eden_state_layout(x->o, "w", "m", &l, error), EDEN_E_ARGUMENT, "EDEN_LAYOUT_INIT");
    assert_int_equal(l.count, 0);
    REFUSED(eden_set_tensor_steps(NULL, "w", 1, error), EDEN_E_ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_tensor_steps(x->o, "u", 1, error), EDEN_E_NAME, "no tensor is called 'u'");
    unmake(x);
}

static void test_values(void **state)
{
    world *x = make("adam", NULL);
    char *odd = (char *)x->m + 1;
    eden_layout l = EDEN_LAYOUT_INIT;
    (void)state;
    REFUSED(eden_set_data(x->o, "w", NULL, error), EDEN_E_ARGUMENT, "eden_set_data: the data of 'w' is NULL");
    REFUSED(eden_set_data(x->o, "w", odd, error), EDEN_E_ARGUMENT, "tensor 'w': data must be aligned to 4 bytes");
    REFUSED(eden_set_state(x->o, "w", "m", x->m, 1199, error), EDEN_E_ARGUMENT,
            "eden_set_state: 'm' of 'w' takes 1200 bytes, not 1199; ask eden_state_layout()");
    REFUSED(eden_set_state(x->o, "w", "m", odd, 1200, error), EDEN_E_ARGUMENT,
            "tensor 'w': memory for 'm' must be aligned to 4 bytes");
    REFUSED(eden_set_state(x->o, "w", "master", x->m, 0, error), EDEN_E_ARGUMENT,
            "eden_set_state: 'w' has no 'master' under its settings and needs no memory for it");
    OK(eden_set_state(x->o, "w", "master", NULL, 0, error));
    eden_tensor t = eden_vector(x->other, NULL, N);
    t.flags = EDEN_FROZEN;
    OK(eden_add_tensor(x->o, "mean", &t, NULL, error));
    REFUSED(eden_set_state(x->o, "mean", "m", x->m, 1200, error), EDEN_E_ARGUMENT, "'mean' has no 'm'");
    REFUSED(eden_set_tensor_steps(x->o, "mean", 1, error), EDEN_E_ARGUMENT,
            "eden_set_tensor_steps: 'mean' is frozen and takes no steps");
    OK(eden_set_tensor_steps(x->o, "mean", 0, error));
    t = eden_vector(x->w, NULL, N);
    t.data = x->half, t.dtype = EDEN_BF16, t.rounding = EDEN_SPLIT, t.state_dtype = EDEN_Q8;
    OK(eden_add_tensor(x->o, "half", &t, NULL, error));
    REFUSED(eden_set_state(x->o, "half", "lost", odd, 600, error), EDEN_E_ARGUMENT, "must be aligned to 2 bytes");
    REFUSED(eden_set_state(x->o, "half", "m", odd, 328, error), EDEN_E_ARGUMENT, "must be aligned to 4 bytes");
    OK(eden_set_state(x->o, "half", "lost", odd + 1, 600, error));
    OK(eden_state_layout(x->o, "w", "m", &l, error));
    assert_int_equal(l.bytes, 1200);
    OK(eden_step(x->o, error));
    unmake(x);
}

/* Settings that do not go together have no layout; sgd's nesterov wants a momentum. */
static void test_settings(void **state)
{
    world *x = make("sgd", NULL);
    eden_layout l = EDEN_LAYOUT_INIT;
    (void)state;
    OK(eden_set(x->o, NULL, "nesterov", 1, error));
    REFUSED(eden_state_layout(x->o, "w", "b", &l, error), EDEN_E_VALUE, "nesterov");
    REFUSED(eden_set_state(x->o, "w", "b", x->m, 1200, error), EDEN_E_VALUE, "nesterov");
    OK(eden_set(x->o, NULL, "momentum", 0.9, error));
    OK(eden_state_layout(x->o, "w", "b", &l, error));
    OK(eden_set_state(x->o, "w", "b", x->m, l.bytes, error));
    OK(eden_step(x->o, error));
    unmake(x);
}

/* ---- overlaps ------------------------------------------------------------------------------- */

static void test_overlaps(void **state)
{
    world *x = make("adam", NULL);
    (void)state;
    OK(eden_set_state(x->o, "w", "m", x->m, 1200, error));
    OK(eden_set_state(x->o, "w", "v", x->m + 1, 1200, error));
    REFUSED(eden_step(x->o, error), EDEN_E_ARGUMENT, "the state m of 'w' and the state v of 'w' overlap; weights, "
            "copies and state need memory of their own");
    REFUSED(eden_save(x->o, "/nowhere", 0, error), EDEN_E_ARGUMENT, "overlap");
    OK(eden_set_state(x->o, "w", "v", x->w, 1200, error));
    REFUSED(eden_step(x->o, error), EDEN_E_ARGUMENT, "of 'w' overlap");
    OK(eden_set_state(x->o, "w", "v", x->g, 1200, error));
    REFUSED(eden_step(x->o, error), EDEN_E_ARGUMENT, "overlap");
    OK(eden_set_state(x->o, "w", "v", x->v, 1200, error));
    OK(eden_step(x->o, error));
    OK(eden_set_data(x->o, "w", x->v, error));
    REFUSED(eden_step(x->o, error), EDEN_E_ARGUMENT, "overlap");
    OK(eden_set_data(x->o, "w", x->g, error));
    REFUSED(eden_step(x->o, error), EDEN_E_ARGUMENT, "overlap");
    OK(eden_set_data(x->o, "w", x->other, error));
    OK(eden_step(x->o, error));
    unmake(x);
}

/* A load looks before it writes. */
static void test_overlap_in_load(void **state)
{
    world *x = make("adam", NULL);
    (void)state;
    OK(eden_step(x->o, error));
    OK(eden_save(x->o, file("a"), 0, error));
    memset(x->m, 0x22, sizeof x->m);
    OK(eden_set_state(x->o, "w", "m", x->m, 1200, error));
    OK(eden_set_state(x->o, "w", "v", x->m + 1, 1200, error));
    REFUSED(eden_load(x->o, file("a"), 0, error), EDEN_E_ARGUMENT, "overlap");
    for (size_t i = 0; i < sizeof x->m; i++) assert_int_equal(((char *)x->m)[i], 0x22);
    unmake(x);
}

/* ---- not now ----------------------------------------------------------------------------------- */

/* What changes something is refused in these words. A layout may be asked for, only not by a
 * function that the optimizer is calling. */
static void not_now(world *x, const char *slot, const char *part, int busy)
{
    eden_layout l = EDEN_LAYOUT_INIT;
    char text[400];
    snprintf(text, sizeof text, "eden_set_data: %s", part);
    REFUSED(eden_set_data(x->o, "w", x->other, error), EDEN_E_ORDER, text);
    REFUSED(eden_set_data(x->o, "w", x->w, error), EDEN_E_ORDER, text);
    snprintf(text, sizeof text, "eden_set_state: %s", part);
    REFUSED(eden_set_state(x->o, "w", slot, x->m, 1200, error), EDEN_E_ORDER, text);
    REFUSED(eden_set_state(x->o, "w", slot, NULL, 0, error), EDEN_E_ORDER, text);
    snprintf(text, sizeof text, "eden_set_tensor_steps: %s", part);
    REFUSED(eden_set_tensor_steps(x->o, "w", 5, error), EDEN_E_ORDER, text);
    snprintf(text, sizeof text, "eden_state_layout: %s", part);
    if (busy) {
        REFUSED(eden_state_layout(x->o, "w", slot, &l, error), EDEN_E_ORDER, text);
        return;
    }
    OK(eden_state_layout(x->o, "w", slot, &l, error));
    assert_int_equal(l.bytes, 1200);
}

static void test_open_step(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.nonfinite = EDEN_APPLY;
    world *x = make("adam", &c);
    (void)state;
    OK(eden_step_tensor(x->o, "w", error));
    not_now(x, "m", "step 1 is open", 0);
    OK(eden_step(x->o, error));
    OK(eden_set_tensor_steps(x->o, "w", 5, error));
    unmake(x);
}

static void test_ahead(void **state)
{
    world *x = make("momentum", NULL);
    (void)state;
    OK(eden_set(x->o, NULL, "lookahead", 1, error));
    OK(eden_lookahead_begin(x->o, error));
    not_now(x, "b", "the weights are at their look-ahead point", 0);
    OK(eden_lookahead_end(x->o, error));
    OK(eden_set_state(x->o, "w", "b", x->m, 1200, error));
    unmake(x);
}

static void test_swapped(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.average = EDEN_SWA;
    world *x = make("adam", &c);
    (void)state;
    for (int i = 0; i < 3; i++) OK(eden_step(x->o, error));
    REFUSED(eden_set_tensor_steps(x->o, "w", 2, error), EDEN_E_VALUE,
            "the average of 'w' is of 3 steps, and the tensor cannot have taken 2");
    OK(eden_swap_average(x->o, error));
    not_now(x, "m", "the averages are where the weights were", 0);
    OK(eden_swap_average(x->o, error));
    OK(eden_set_tensor_steps(x->o, "w", 3, error));
    unmake(x);
}

static double within(uint64_t step, void *context)
{
    (void)step;
    not_now(context, "m", "called by a function that this optimizer is calling", 1);
    return 1;
}

static void test_busy(void **state)
{
    world *x = make("adam", NULL);
    (void)state;
    OK(eden_schedule_custom(x->o, NULL, "lr", within, x, error));
    OK(eden_step(x->o, error));
    unmake(x);
}

/* An empty tensor has no state and may have no memory. */
static void test_empty(void **state)
{
    world *x = make("adam", NULL);
    const eden_tensor t = eden_vector(x->other, NULL, 0);
    eden_layout l = EDEN_LAYOUT_INIT;
    (void)state;
    OK(eden_add_tensor(x->o, "empty", &t, NULL, error));
    OK(eden_set_data(x->o, "empty", NULL, error));
    OK(eden_state_layout(x->o, "empty", "m", &l, error));
    assert_int_equal(l.count, 0);
    OK(eden_set_state(x->o, "empty", "m", NULL, 0, error));
    REFUSED(eden_set_state(x->o, "empty", "m", x->m, 0, error), EDEN_E_ARGUMENT, "'empty' has no 'm'");
    OK(eden_step(x->o, error));
    unmake(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),     cmocka_unit_test(test_values),  cmocka_unit_test(test_settings),
        cmocka_unit_test(test_overlaps),  IN_FOLDER(test_overlap_in_load), cmocka_unit_test(test_open_step),
        cmocka_unit_test(test_ahead),     cmocka_unit_test(test_swapped), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
