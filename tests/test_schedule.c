/* test_schedule.c - schedules: their values, and what plateaus remember. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fpu.h"
#include "optimizer/schedule.h"

static double at(const char *text, uint64_t s)
{
    double value = -1;
    eden_error e = { 0, "" };
    if (eden_schedule_value(text, s, &value, &e)) fail_msg("%s: %s", text, e.text);
    return value;
}

static eden_schedule_node compile(const char *text)
{
    eden_schedule_node node = { 0 };
    eden_error e = { 0, "" };
    if (eden_schedule_compile(&node, text, &e)) fail_msg("%s: %s", text, e.text);
    return node;
}

/* ---- values ------------------------------------------------------------------------ */

/* Is the value that begins the line 0, 1/2 or 1 in all its digits? */
static int is_exact(const char *line)
{
    const char *end = line + 2 + strspn(line + 2, "0");
    return line[0] == '0' || (line[0] == '1' && strncmp(end, "e+0 ", 4) == 0) ||
           (line[0] == '5' && strncmp(end, "e-1 ", 4) == 0);
}

/* Split "VALUE STEP SCHEDULE"; the value must be the double nearest or one of few
 * beside it, and exact where it is 0, 1/2 or 1. */
static double error_of(char *line)
{
    char *step, *text;
    const int exact = is_exact(line);
    double want = strtod(line, &step);
    const uint64_t s = strtoull(step, &text, 10);
    text += strspn(text, " ");
    text[strcspn(text, "\n")] = 0;
    if (want > DBL_MAX) want = DBL_MAX;
    const double got = at(text, s);
    if (exact) {
        if (got != want) fail_msg("%s at %llu is %.17g, not %.17g", text, (unsigned long long)s, got, want);
        return 0;
    }
    const double off = fabs(got - want) / (want < DBL_MIN ? DBL_MIN : want) / DBL_EPSILON;
    if (!(off <= 4))
        fail_msg("%s at %llu is %.17g, not %.17g", text, (unsigned long long)s, got, want);
    return off;
}

static void test_vectors(void **state)
{
    char line[512];
    double worst = 0;
    int count = 0;
    FILE *file = fopen(EDEN_SOURCE_DIR "/tests/vectors/schedules.txt", "r");
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        worst = fmax(worst, error_of(line));
        count++;
    }
    fclose(file);
    print_message("%d values, off by at most %.2f epsilon\n", count, worst);
    assert_true(count > 500);
}

/* Values one can see by hand, and exactly. */
static void test_exact(void **state)
{
    (void)state;
    assert_true(at("cosine(4)", 2) == 0.5 && at("cosine(4)", 4) == 0 && at("cosine(4, 0.25)", 9) == 0.25);
    assert_true(at("cosine_restarts(4, 2)", 8) == 0.5 && at("cosine_restarts(4, 2)", 12) == 0);
    assert_true(at("linear(4)", 1) == 0.75 && at("warmup(4)", 3) == 0.75 && at("warmup(4)", 5) == 1);
    assert_true(at("step(2, 0.5)", 2) == 1 && at("step(2, 0.5)", 3) == 0.5);
    assert_true(at("exponential(0.25, 2)", 1) == 1 && at("exponential(0.25, 2)", 5) == 0.0625);
    assert_true(at("onecycle(10, peak_at=0.5)", 5) == 1 && at("onecycle(10, end=0.125)", 10) == 0.125);
    assert_true(at("inverse_sqrt(4)", 16) == 0.5 && at("inverse_sqrt(4)", 4) == 1);
    assert_true(at("plateau()", 7) == 1 && at("plateau(0.5) * constant(3)", UINT64_MAX) == 3);
    assert_true(at(" \t\n constant ( 2 )\r* constant(value = 3) ", 1) == 6);
    assert_true(at("constant(1e308) * constant(1e308)", 1) == DBL_MAX);
}

/* The same value however often and in whatever order it is asked for, and in any
 * floating-point environment. */
static void test_pure(void **state)
{
    static const char *const texts[] = {
        "warmup(5) * cosine_restarts(7, 1.3, end=0.1)", "exponential(0.97, 3) * polynomial(50, 1.7)",
        "sequence(wsd(3, 4, 5), 12, onecycle(20), 20, inverse_sqrt(3))" };
    double first[64];
    (void)state;
    const uint64_t before = fpu_get();
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        eden_schedule_node node = compile(texts[t]);
        for (size_t s = 1; s <= 64; s++) first[s - 1] = at(texts[t], s);
        for (size_t s = 64; s >= 1; s--)
            assert_true(eden_schedule_apply(&node, 1, s) == first[s - 1]);
        for (size_t i = 0; i < 200; i++) {
            const size_t s = i * 37 % 64 + 1;
            assert_true(eden_schedule_apply(&node, 1, s) == first[s - 1]);
        }
        fesetround(FE_UPWARD);
        int same = 1;
        for (size_t s = 1; s <= 64; s++)
            same = same && eden_schedule_apply(&node, 1, s) == first[s - 1];
        const int mode = fegetround();
        fesetround(FE_TONEAREST);
        assert_true(same && mode == FE_UPWARD);
        eden_schedule_clear(&node);
    }
    fpu_set(before);
}

static double twice(uint64_t step, void *context)
{
    *(uint64_t *)context = step;
    return 2;
}

static void test_apply(void **state)
{
    uint64_t seen = 0;
    (void)state;
    eden_schedule_node none = { 0 }, node = compile("constant(0.5)");
    assert_true(eden_schedule_apply(&none, 0.1, 3) == 0.1);
    assert_true(eden_schedule_apply(&node, 8, 3) == 4 && !node.absolute);
    eden_schedule_clear(&node);
    assert_true(!node.text && !node.tree);
    node = compile("absolute(constant(0.5)) * constant(3)");
    assert_true(eden_schedule_apply(&node, 8, 3) == 1.5 && node.absolute);
    assert_string_equal(node.text, "absolute(constant(0.5)) * constant(3)");
    eden_schedule_clear(&node);
    eden_schedule_node custom = { .function = twice, .context = &seen }, copy = { 0 };
    assert_true(eden_schedule_apply(&custom, 8, 3) == 16 && seen == 3);
    assert_int_equal(eden_schedule_copy(&copy, &custom, NULL), EDEN_OK);
    assert_true(eden_schedule_apply(&copy, 1, 9) == 2 && seen == 9);
    eden_schedule_clear(&copy);
}

/* ---- plateaus --------------------------------------------------------------------------- */

static double after(eden_schedule_node *node, double loss)
{
    eden_schedule_report(node, loss);
    return eden_schedule_apply(node, 1, 1);
}

static void test_plateau(void **state)
{
    (void)state;
    eden_schedule_node node = compile("plateau(0.5, patience=2, threshold=0.1, floor=0.2)");
    assert_true(after(&node, 10) == 1);
    assert_true(after(&node, 9.5) == 1);  /* 1st that is no better: 9 would be needed */
    assert_true(after(&node, NAN) == 1 && after(&node, -INFINITY) == 1); /* not counted */
    assert_true(after(&node, 9) == 1);    /* 2nd: not below 9 either */
    assert_true(after(&node, 11) == 0.5); /* 3rd, above patience */
    assert_true(after(&node, 11) == 0.5 && after(&node, 11) == 0.5);
    assert_true(after(&node, 8) == 0.5);  /* better: the count starts again */
    assert_true(after(&node, 8) == 0.5 && after(&node, 8) == 0.5 && after(&node, 8) == 0.25);
    for (int i = 0; i < 3; i++) after(&node, 8);
    assert_true(eden_schedule_apply(&node, 1, 5) == 0.2); /* the floor */
    for (int i = 0; i < 30; i++) after(&node, 8);
    assert_true(eden_schedule_apply(&node, 3, UINT64_MAX) == 3 * 0.2);
    eden_schedule_clear(&node);

    node = compile("plateau(0.5, 0, 0.1)"); /* losses below zero improve downwards */
    assert_true(after(&node, -10) == 1 && after(&node, -11.5) == 1 && after(&node, -12) == 0.5);
    eden_schedule_clear(&node);

    node = compile("plateau(patience=0) * sequence(plateau(0.5, 1), 5, plateau(0.25, 0))");
    after(&node, 1);
    after(&node, 1);
    assert_true(eden_schedule_apply(&node, 1, 5) == 0.1 && eden_schedule_apply(&node, 1, 6) == 0.1 * 0.25);
    after(&node, 1);
    assert_true(eden_schedule_apply(&node, 1, 5) == 0.1 * 0.1 * 0.5);
    eden_schedule_clear(&node);
}

static void test_memory(void **state)
{
    char text[128], again[128];
    static const char schedule[] = "plateau(0.3, 2) * plateau(0.7, 1) * linear(10)";
    (void)state;
    eden_schedule_node node = compile(schedule), other = compile(schedule), copy = { 0 };
    eden_schedule_memory(&node, text, sizeof text);
    assert_string_equal(text, "1 none 0; 1 none 0");
    assert_int_equal(eden_schedule_remember(&other, text, NULL), EDEN_OK);
    for (int i = 0; i < 12; i++) after(&node, 1.0 / 3);
    const size_t length = eden_schedule_memory(&node, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_int_equal(eden_schedule_memory(&node, NULL, 0), length);
    memset(again, 'x', sizeof again);
    assert_int_equal(eden_schedule_memory(&node, again, 12), length);
    assert_true(strlen(again) == 11 && strncmp(again, text, 11) == 0 && again[12] == 'x');
    assert_int_equal(eden_schedule_remember(&other, text, NULL), EDEN_OK);
    assert_int_equal(eden_schedule_copy(&copy, &node, NULL), EDEN_OK);
    eden_schedule_memory(&copy, again, sizeof again);
    assert_string_equal(again, text);
    assert_string_equal(copy.text, schedule);
    for (int i = 0; i < 20; i++) {
        const double loss = 0.3 + 0.01 * (i % 7), want = after(&node, loss);
        assert_true(after(&other, loss) == want && after(&copy, loss) == want);
    }
    eden_schedule_memory(&node, text, sizeof text);
    eden_schedule_memory(&other, again, sizeof again);
    assert_string_equal(again, text);
    eden_schedule_clear(&node);
    eden_schedule_clear(&other);
    eden_schedule_clear(&copy);
}

static void test_bad_memory(void **state)
{
    static const char *const bad[] = {
        "", "1", "1 none", "1 none ", "1 none 0;", "1 none 0; ", "1 none 0; 1 none 0; 1 none 0",
        "1 none 0;1 none 0", "1 none 0; 1 none 0 ", " 1 none 0; 1 none 0", "1 none 0; 1 none 1",
        "nan 2 0; 1 none 0", "inf 2 0; 1 none 0", "1 nan 0; 1 none 0", "1 inf 0; 1 none 0",
        "1 1e999 0; 1 none 0", "1.5 2 0; 1 none 0", "-1 2 0; 1 none 0", "0.05 2 0; 1 none 0",
        "1 2 3; 1 none 0", "1 2 -1; 1 none 0", "1 2 0.5; 1 none 0", "1 2 1e300; 1 none 0",
        "1 2; 1 none 0", "1  2 0; 1 none 0", "1 none 0, 1 none 0", "1 nones 0; 1 none 0", "x" };
    char before[128], now[128];
    eden_error e;
    (void)state;
    eden_schedule_node node = compile("plateau(0.5, 2, floor=0.1) * plateau(0.5, 2)");
    after(&node, 0.1);
    after(&node, 0.2);
    eden_schedule_memory(&node, before, sizeof before);
    assert_string_equal(before, "1 0.1 1; 1 0.1 1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (eden_schedule_remember(&node, bad[i], &e) != EDEN_E_FORMAT) fail_msg("took '%s'", bad[i]);
        assert_non_null(strstr(e.text, "is not the memory of the schedule 'plateau(0.5, 2, floor"));
        eden_schedule_memory(&node, now, sizeof now);
        assert_string_equal(now, before);
    }
    assert_int_equal(eden_schedule_remember(&node, "0.1 -3.5 2; 0.25 1e-3 0", &e), EDEN_OK);
    eden_schedule_memory(&node, now, sizeof now);
    assert_string_equal(now, "0.1 -3.5 2; 0.25 0.001 0");
    eden_schedule_clear(&node);

    node = compile("linear(5)");
    assert_int_equal(eden_schedule_memory(&node, now, sizeof now), 0);
    assert_string_equal(now, "");
    assert_int_equal(eden_schedule_remember(&node, "", NULL), EDEN_OK);
    assert_int_equal(eden_schedule_remember(&node, "1 none 0", NULL), EDEN_E_FORMAT);
    assert_true(eden_schedule_apply(&node, 1, 5) == 0);
    eden_schedule_clear(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),  cmocka_unit_test(test_exact),
        cmocka_unit_test(test_pure),     cmocka_unit_test(test_apply),
        cmocka_unit_test(test_plateau),  cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bad_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
