/* test_edges.c - tensors that are empty, too large or in each other's way; gradients that
 * are absent; settings and schedules at the ends of their ranges. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "optimizer/text.h"
#include "ok.h"

#define REFUSED(call, want, part)                                                          \
    do {                                                                                   \
        eden_error e_ = { 0, "" };                                                         \
        if ((call) != (want)) fail_msg("%s: %u '%s'", #call, e_.status, e_.text);          \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)

static eden_optimizer *create(const char *rule, const char *settings, const eden_config *config)
{
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, rule, config, error));
    OK(eden_set_text(o, NULL, settings, error));
    return o;
}

static void add(eden_optimizer *o, const char *name, float *w, float *g, uint64_t rows, uint64_t cols)
{
    const eden_tensor t = eden_matrix(w, g, rows, cols);
    OK(eden_add_tensor(o, name, &t, NULL, error));
}

/* ---- shapes ------------------------------------------------------------------------- */

enum { ROWS = 600, COLS = 500, MANY = ROWS * COLS }; /* more than a wave of tensors holds */

/* Three steps and a look at the average, with and without empty tensors before and after. */
static void steps_beside(int empty, const char *rule, float *w)
{
    static float g[MANY];
    float none = 0;
    eden_config c = EDEN_CONFIG_INIT;
    c.average = EDEN_SWA;
    eden_optimizer *o = create(rule, "", &c);
    for (int i = 0; i < MANY; i++) w[i] = (float)(i % 13) / 8 - 0.7f, g[i] = (float)(i % 29) / 16 - 0.8f;
    if (empty) add(o, "no columns", &none, &none, 3, 0);
    if (empty) add(o, "no rows", NULL, NULL, 0, 3);
    add(o, "w", w, g, ROWS, COLS);
    if (empty) add(o, "nothing", &none, &none, 0, 0);
    for (int k = 0; k < 3; k++) OK(eden_step(o, error));
    OK(eden_swap_average(o, error));
    OK(eden_swap_average(o, error));
    OK(eden_step(o, error));
    assert_true(none == 0);
    eden_optimizer_destroy(o);
}

static void test_empty(void **state)
{
    static float w[MANY], v[MANY];
    static const char *const rules[] = { "adafactor", "lamb", "adam" };
    (void)state;
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        steps_beside(0, rules[r], w);
        steps_beside(1, rules[r], v);
        assert_memory_equal(w, v, sizeof w);
    }
}

/* Sanitizers ask for these: what is too large is to be refused, as it is without them. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

/* More than any memory is refused by it, and does no harm. */
static void test_huge(void **state)
{
    float w[4] = { 1, 2, 3, 4 };
    (void)state;
    assert_null(eden_alloc(UINT64_MAX, 2));
    assert_null(eden_alloc(PTRDIFF_MAX, 1));
    eden_optimizer *o = create("adafactor", "", NULL);
    add(o, "huge", w, NULL, 2, (uint64_t)1 << 58);
    REFUSED(eden_step(o, error), EDEN_E_MEMORY, "no memory for the optimizer's state");
    assert_true(eden_steps(o) == 0 && w[0] == 1);
    eden_optimizer_destroy(o);
}

static void test_overlaps(void **state)
{
    float room[12] = { 0 };
    (void)state;
    for (int first = 0; first < 2; first++) { /* which of the two begins in the other */
        eden_optimizer *o = create("sgd", "", NULL);
        add(o, "a", room + (first ? 0 : 2), NULL, 1, 4);
        float apart[4] = { 0 };
        add(o, "b", apart, room + (first ? 2 : 0), 1, 4);
        REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, first ? "the weights of 'a' and the gradient of 'b' overlap"
                                                            : "the gradient of 'b' and the weights of 'a' overlap");
        eden_optimizer_destroy(o);
    }
    /* Where gradients are said anew is looked at anew; other tensors' and none may be anywhere. */
    float apart[6] = { 0 };
    eden_optimizer *o = create("sgd", "", NULL);
    add(o, "a", room, apart, 1, 4);
    add(o, "b", room + 4, apart + 2, 1, 4);
    add(o, "c", room + 8, apart, 1, 4);
    OK(eden_step(o, error));
    OK(eden_set_grad(o, "c", room + 1, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the weights of 'a' and the gradient of 'c' overlap");
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the weights of 'a' and the gradient of 'c' overlap");
    OK(eden_set_grad(o, "c", apart + 1, error));
    OK(eden_set_grad(o, "b", room + 5, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the weights of 'b' and the gradient of 'b' overlap");
    OK(eden_set_grad(o, "b", NULL, error));
    OK(eden_step(o, error));
    assert_int_equal(eden_steps(o), 2);
    eden_optimizer_destroy(o);
    o = create("sgd", "", NULL);
    eden_tensor t = eden_vector(room, room + 4, 4);
    t.copy = room + 3, t.copy_dtype = EDEN_BF16;
    OK(eden_add_tensor(o, "a", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the weights of 'a' and the copy of 'a' overlap");
    eden_optimizer_destroy(o);
}

static void test_tensors_refused(void **state)
{
    float w[4] = { 0 }, g[5] = { 1, 1, 1, 1, 1 };
    uint16_t copy[4];
    eden_optimizer *o = create("sgd", "lr=1", NULL);
    eden_tensor t = eden_vector(w, g, 4);
    (void)state;
    t.copy_dtype = EDEN_BF16;
    REFUSED(eden_add_tensor(o, "w", &t, NULL, error), EDEN_E_DTYPE, "copy_dtype = 1 is not supported; use 0 without");
    t.copy = copy, t.copy_dtype = EDEN_F32;
    REFUSED(eden_add_tensor(o, "w", &t, NULL, error), EDEN_E_DTYPE, "use EDEN_BF16 or EDEN_F16");
    add(o, "w", w, g, 1, 4);
    REFUSED(eden_set_grad(o, "w", (char *)g + 1, error), EDEN_E_ARGUMENT, "grad must be aligned to 4 bytes");
    OK(eden_step(o, error)); /* with the gradient that was there */
    assert_true(w[0] == -1 && w[3] == -1);
    eden_optimizer_destroy(o);
}

/* ---- absent gradients ------------------------------------------------------------------- */

/* What has no gradient, or is frozen, is nowhere between looking ahead and back. */
static void test_ahead(void **state)
{
    float w[3] = { 1, 1, 1 }, g[2] = { 1, 1 };
    (void)state;
    eden_optimizer *o = create("momentum", "lr=0.5, momentum=0.5, lookahead=1", NULL);
    add(o, "without", w, NULL, 1, 1);
    eden_tensor t = eden_vector(w + 1, g, 1);
    t.flags |= EDEN_FROZEN;
    OK(eden_add_tensor(o, "frozen", &t, NULL, error));
    add(o, "w", w + 2, g + 1, 1, 1);
    for (int k = 0; k < 3; k++) {
        OK(eden_lookahead_begin(o, error));
        assert_true(w[0] == 1 && w[1] == 1 && (w[2] != 1) == (k > 0));
        OK(eden_step(o, error));
        if (k == 0) assert_true(w[2] == 0.5f);
    }
    assert_true(w[0] == 1 && w[1] == 1);
    OK(eden_lookahead_begin(o, error));
    OK(eden_set_grad(o, "w", NULL, error)); /* it goes back, and makes no step */
    const float ahead = w[2];
    OK(eden_step(o, error));
    assert_true(w[2] != ahead);
    const float there = w[2];
    OK(eden_lookahead_begin(o, error));
    assert_true(w[2] == there);
    OK(eden_set_grad(o, "w", g + 1, error)); /* it goes ahead first */
    OK(eden_step(o, error));
    assert_true(w[2] < there);
    eden_optimizer_destroy(o);
}

/* The bad one is found behind a tensor that has none. */
static void test_bad_behind(void **state)
{
    float w[2] = { 1, 1 }, g[1] = { NAN };
    (void)state;
    eden_optimizer *o = create("sgd", "", NULL);
    add(o, "without", w, NULL, 1, 1);
    add(o, "w", w + 1, g, 1, 1);
    REFUSED(eden_step(o, error), EDEN_E_GRADIENT, "the gradient of 'w' is NaN at element 0");
    eden_optimizer_destroy(o);
}

/* ---- settings ---------------------------------------------------------------------------- */

/* Where nothing has arrived and eps is 0, nothing moves, and nothing is NaN. */
static void test_no_divisor(void **state)
{
    static const char *const kinds[] = { "eps=0", "eps=0,momentum=0.5", "eps=0,centered=1",
                                         "eps=0,centered=1,momentum=0.5" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        float w[2] = { 3, 3 }, g[2] = { 0, 1 };
        eden_optimizer *o = create("rmsprop", kinds[i], NULL);
        add(o, "w", w, g, 1, 2);
        for (int k = 0; k < 3; k++) OK(eden_step(o, error));
        if (w[0] != 3 || !(w[1] < 3)) fail_msg("%s: %g %g", kinds[i], (double)w[0], (double)w[1]);
        eden_optimizer_destroy(o);
    }
}

/* With eps1 as the least root, g over a mean below it is g / eps1: here 2^-10. The step is
 * lr * (1 - beta1) of that. */
static void test_least_root(void **state)
{
    float w[4] = { 1, 1, 1, 1 }, g[4] = { 0x1p-10f, 0x1p-10f, 0x1p-10f, 0x1p-10f };
    (void)state;
    eden_optimizer *o = create("adafactor", "lr=0.5,relative_step=0,scale_parameter=0,clip=0,eps1=1,"
                               "eps1_mode=1,beta1=0.5", NULL);
    add(o, "w", w, g, 2, 2);
    OK(eden_step(o, error));
    for (int i = 0; i < 4; i++) assert_true(w[i] == 1 - 0x1p-12f);
    eden_optimizer_destroy(o);
}

/* A schedule may bring eps1 to 0, and then it does not matter where it would stand. */
static void test_no_eps1(void **state)
{
    float w[2][4], g[4] = { 1, 2, 0, 0 };
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        eden_optimizer *o = create("adafactor", mode ? "eps1=1e-3,eps1_mode=clamped" : "eps1=1e-3", NULL);
        for (int i = 0; i < 4; i++) w[mode][i] = 1;
        OK(eden_schedule(o, NULL, "eps1", "absolute(constant(0))", error));
        add(o, "w", w[mode], g, 2, 2);
        for (int k = 0; k < 3; k++) OK(eden_step(o, error));
        assert_true(w[mode][0] < 1 && w[mode][3] == 1);
        eden_optimizer_destroy(o);
    }
    assert_memory_equal(w[0], w[1], sizeof w[0]);
}

/* ---- schedules and sentences ----------------------------------------------------------- */

static double at(const char *text, uint64_t s)
{
    double value = -1;
    OK(eden_schedule_value(text, s, &value, error));
    return value;
}

/* Powers stay finite, down to numbers with fewer digits. */
static void test_powers(void **state)
{
    (void)state;
    assert_true(at("step(1, 0.5)", 4096) == 0);
    assert_true(at("step(1, 2)", 4096) == DBL_MAX);
    assert_true(at("step(1, 2)", 1024) == 0x1p1023);
    assert_true(at("exponential(2, 2)", 4000) == DBL_MAX);
    assert_true(at("exponential(1e300, 3)", 6) == DBL_MAX);
    assert_true(at("step(1, 1e-310)", 2) == 1e-310);
    assert_true(fabs(at("exponential(1e-310, 2)", 2) / 1e-155 - 1) < 1e-12);
    assert_true(at("exponential(0, 3)", 1) == 1);
    assert_true(at("exponential(0, 3)", 2) == 0);
}

/* A sentence that ends in the middle of a path still has no bytes that are not text. */
static void test_long_path(void **state)
{
    char path[600] = "/\xff/";
    eden_error e = { 0, "" };
    (void)state;
    for (size_t i = 3; i + 2 < sizeof path; i += 2) memcpy(path + i, "\xc3\xa9", 3);
    eden_optimizer *o = create("sgd", "", NULL);
    for (int shift = 0; shift < 2; shift++) {
        assert_int_equal(eden_load(o, path + shift, 0, &e), EDEN_E_IO);
        const size_t n = strlen(e.text);
        assert_true(n + 2 >= sizeof e.text - 1 && strstr(e.text, "?/\xc3\xa9"));
        assert_true(!strchr(e.text, '\xff') && (unsigned char)e.text[n - 1] == 0xa9);
    }
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),      cmocka_unit_test(test_huge),       cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_tensors_refused), cmocka_unit_test(test_ahead), cmocka_unit_test(test_bad_behind),
        cmocka_unit_test(test_no_divisor), cmocka_unit_test(test_least_root), cmocka_unit_test(test_no_eps1),
        cmocka_unit_test(test_powers),     cmocka_unit_test(test_long_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
