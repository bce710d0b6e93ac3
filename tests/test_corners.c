/* test_corners.c - what a program seldom does: many plateaus, tensors in several waves,
 * text with blanks of every kind, headers longer than headers can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/scratch.h"

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define REFUSED(call, want, part)                                                          \
    do {                                                                                   \
        eden_error e_ = { 0, "" };                                                         \
        if ((call) != (want)) fail_msg("%s: %u '%s'", #call, e_.status, e_.text);          \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)
#define error (&e_)

static eden_optimizer *create(const char *rule, const eden_config *config)
{
    eden_optimizer *o = NULL;
    OK(eden_optimizer_create(&o, rule, config, error));
    return o;
}

/* The memory of twenty plateaus is more than a line; it goes into a file and back. */
static void test_many_plateaus(void **state)
{
    char schedule[1024] = "plateau(0.99, 1)";
    double before = 0, after = 0;
    size_t a, b;
    (void)state;
    for (int k = 1; k < 20; k++) strcat(schedule, " * plateau(0.99, 1)");
    eden_optimizer *o = create("sgd", NULL), *other = create("sgd", NULL);
    OK(eden_schedule(o, NULL, "lr", schedule, error));
    for (int k = 0; k < 9; k++) OK(eden_report(o, 0.12345678901234567 + k, error));
    OK(eden_get_at(o, NULL, "lr", 1, &before, error));
    assert_true(before > 0 && before < 0.009);
    OK(eden_save(o, at("a"), 0, error));
    OK(eden_load(other, at("a"), 0, error));
    OK(eden_get_at(other, NULL, "lr", 1, &after, error));
    assert_true(before == after);
    OK(eden_save(other, at("b"), 0, error));
    unsigned char *x = fetch(at("a"), &a), *y = fetch(at("b"), &b);
    assert_true(a == b && memcmp(x, y, a) == 0);
    free(x), free(y);
    eden_optimizer_destroy(o);
    eden_optimizer_destroy(other);
}

/* Tensors of rules with several passes are taken in waves, to share a workspace. Which
 * wave, and with whom, changes no bit. */
static void test_waves(void **state)
{
    enum { TENSORS = 5, N = 1500000 };
    static const uint64_t rows[TENSORS] = { 1, 1000, 3, 1, 1000 };
    float *w = malloc((size_t)N * sizeof *w), *v = malloc((size_t)N * sizeof *v), *g = malloc((size_t)N * sizeof *g);
    (void)state;
    assert_true(w && v && g);
    static const char *const rules[] = { "lamb", "adafactor" };
    for (size_t r = 0; r < 2; r++) {
        const uint64_t n = N / TENSORS / 3000 * 3000;
        fill(w, N, 3);
        for (size_t i = 0; i < N; i++) g[i] = (float)(mix(i) % 9) - 4, v[i] = w[i];
        eden_optimizer *all = create(rules[r], NULL);
        for (size_t k = 0; k < TENSORS; k++) {
            char name[8];
            snprintf(name, sizeof name, "%zu", k);
            eden_tensor t = eden_matrix(w + k * n, g + k * n, rows[k], n / rows[k]);
            OK(eden_add_tensor(all, name, &t, NULL, error));
            t.data = v + k * n;
            eden_optimizer *alone = create(rules[r], NULL);
            OK(eden_add_tensor(alone, name, &t, NULL, error));
            for (int s = 0; s < 2; s++) OK(eden_step(alone, error));
            eden_optimizer_destroy(alone);
        }
        for (int s = 0; s < 2; s++) OK(eden_step(all, error));
        eden_optimizer_destroy(all);
        assert_memory_equal(w, v, (size_t)N * sizeof *w);
    }
    free(w), free(v), free(g);
}

static void test_settings_text(void **state)
{
    char far[64] = "an_unknown_setting_of_more_than_thirty_two_letters_or_so";
    char number[700];
    double x = 0;
    eden_optimizer *o = create("adam", NULL);
    (void)state;
    OK(eden_set_text(o, NULL, "", error));
    OK(eden_set_text(o, NULL, " \n\t lr \t= \n0.5\t , \n eps=+1E-9\n,beta1=.5,beta2=5e-1 ,weight_decay=1.", error));
    OK(eden_get(o, NULL, "eps", &x, error));
    assert_true(x == 1e-9);
    OK(eden_get(o, NULL, "beta1", &x, error));
    assert_true(x == 0.5);
    REFUSED(eden_set_text(o, "typo", "lr=1", error), EDEN_E_NAME, "no group is called 'typo'");
    REFUSED(eden_set(o, NULL, far, 1, error), EDEN_E_NAME, "it has lr");
    REFUSED(eden_set(o, NULL, "bata1", 1, error), EDEN_E_NAME, "did you mean 'beta1'");
    REFUSED(eden_set(o, NULL, "amsgrad", 3, error), EDEN_E_VALUE, "off,raw,corrected");
    REFUSED(eden_set(o, NULL, "amsgrad", -1, error), EDEN_E_VALUE, "amsgrad = -1");
    static const char *const wrong[] = { "lr=", "lr=+", "lr=-", "lr=.", "lr=1e", "lr=1e+", "lr=e5", "lr=1 2", "lr=0x1",
                                         "lr=nan", "lr=inf", "lr=1.2.3", "lr=1_000", "lr", "=1", "lr==1", "lr=1,lr=1" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (eden_set_text(o, NULL, wrong[i], NULL) == EDEN_OK) fail_msg("'%s' is taken", wrong[i]);
    memset(number, '0', sizeof number);
    memcpy(number, "lr=0.", 5);
    number[200] = '1', number[300] = 0; /* 1e-196, in many digits */
    OK(eden_set_text(o, NULL, number, error));
    number[300] = '0', number[699] = 0;
    REFUSED(eden_set_text(o, NULL, number, error), EDEN_E_VALUE, "is not a number in [0, infinity)");
    eden_optimizer_destroy(o);
}

static void test_schedule_words(void **state)
{
    static const char *const wrong[] = {
        "a1(2)", "Z_b(1)", "warmup(,1)", "warmup()", "warmup(1", "warmup", "1", "warmup(1)*", "*", "(", ")", "[(1)",
        "warmup(n5=1)", "@", "a{", "constant(-)", "constant(1)constant(2)", "absolute(", "sequence(constant(1))",
        "a_function_of_a_name_of_more_than_forty_letters(1)", "constant(value=1, value=2)", "step(3, factor)",
    };
    double x = 7;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        eden_error e = { 0, "" };
        if (eden_schedule_value(wrong[i], 1, &x, &e) == EDEN_OK) fail_msg("'%s' is taken", wrong[i]);
        assert_true(strncmp(e.text, "schedule", 8) == 0 && x == 7);
    }
}

/* How many times the caller's own threads were used. */
static void count_and_run(void *pool, size_t tasks, void (*task)(size_t, void *), void *job)
{
    ++*(int *)pool;
    for (size_t i = 0; i < tasks; i++) task(i, job);
}

static void test_pool_and_environment(void **state)
{
    enum { N = 300000 };
    static float w[N], v[N], g[N];
    int uses = 0;
    eden_config c = EDEN_CONFIG_INIT;
    (void)state;
    for (size_t i = 0; i < N; i++) g[i] = 1;
    c.run = count_and_run, c.pool = &uses;
    setenv("EDEN_ISA", "", 1); /* as if it were not there */
    eden_optimizer *mine = create("adam", &c);
    setenv("EDEN_ISA", "base", 1);
    eden_optimizer *base = create("adam", NULL);
    setenv("EDEN_ISA", "none", 1);
    REFUSED(eden_optimizer_create(&(eden_optimizer *){ NULL }, "adam", NULL, error), EDEN_E_NAME, "EDEN_ISA");
    unsetenv("EDEN_ISA");
    eden_tensor t = eden_vector(w, g, N);
    OK(eden_add_tensor(mine, "w", &t, NULL, error));
    t.data = v;
    OK(eden_add_tensor(base, "w", &t, NULL, error));
    OK(eden_step(mine, error));
    OK(eden_step(base, error));
    assert_true(uses > 0);
    assert_memory_equal(w, v, sizeof w);
    eden_optimizer_destroy(mine);
    eden_optimizer_destroy(base);
}

static void test_writer_arguments(void **state)
{
    static const uint64_t many[] = { UINT64_C(1) << 60 }, ones[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    static const char byte = 0;
    eden_writer *w = NULL;
    (void)state;
    OK(eden_writer_create(&w, error));
    REFUSED(eden_writer_tensor(w, NULL, "U8", 1, many, &byte, error), EDEN_E_ARGUMENT, "NULL");
    REFUSED(eden_writer_tensor(w, "a", NULL, 1, many, &byte, error), EDEN_E_ARGUMENT, "NULL");
    REFUSED(eden_writer_tensor(w, "a", "U8", 8, NULL, &byte, error), EDEN_E_ARGUMENT, "NULL");
    OK(eden_writer_tensor(w, "scalar", "U8", 0, NULL, &byte, error));
    OK(eden_writer_tensor(w, "ones", "U8", 8, ones, &byte, error));
    REFUSED(eden_writer_tensor(w, "all", "F64", 1, many, &byte, error), EDEN_E_SHAPE, "all");
    REFUSED(eden_writer_text(w, "\xff", "x", error), EDEN_E_VALUE, "UTF-8");
    REFUSED(eden_writer_text(w, "x", "\xff", error), EDEN_E_VALUE, "UTF-8");
    eden_writer_destroy(w);
}

/* A header that no reader would take is not written. */
static void test_large_header(void **state)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE + 1), key[16];
    eden_writer *w = NULL;
    (void)state;
    assert_non_null(text);
    memset(text, 'x', SIZE), text[SIZE] = 0;
    OK(eden_writer_create(&w, error));
    for (int i = 0; i < 96; i++) {
        snprintf(key, sizeof key, "k%d", i);
        OK(eden_writer_text(w, key, text, error));
    }
    REFUSED(eden_writer_write(w, at("header"), error), EDEN_E_VALUE, "100000000");
    eden_writer_destroy(w);
    free(text);
    assert_int_equal(count_files("header"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_plateaus),        cmocka_unit_test(test_waves),
        cmocka_unit_test(test_settings_text),        cmocka_unit_test(test_schedule_words),
        cmocka_unit_test(test_pool_and_environment), cmocka_unit_test(test_writer_arguments),
        cmocka_unit_test(test_large_header),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
