/* test_schedule_text.c - what the text of a schedule may not be, and what is then said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <math.h>
#include <string.h>

#include "optimizer/schedule.h"

static double at(const char *text, uint64_t s)
{
    double value = -1;
    eden_error e = { 0, "" };
    if (eden_schedule_value(text, s, &value, &e)) fail_msg("%s: %s", text, e.text);
    return value;
}

static void refuse(const char *text, const char *part)
{
    double value = 42;
    eden_schedule_node node = { .absolute = 7 };
    eden_error e = { 0, "" };
    const eden_status status = eden_schedule_value(text, 1, &value, &e);
    if (status != EDEN_E_VALUE || e.status != EDEN_E_VALUE || !strstr(e.text, part))
        fail_msg("'%.80s': status %d, '%s' does not contain '%s'", text, status, e.text, part);
    assert_true(value == 42);
    assert_int_equal(eden_schedule_compile(&node, text, NULL), EDEN_E_VALUE);
    assert_true(node.absolute == 7 && !node.text && !node.tree);
}

static const struct {
    const char *text, *part;
} refusals[] = {
    { "", "the schedule is empty" },
    { "=3", "character 1: '=' is not a function" },
    { "step(*)", "character 6: step: n = ''" },
    { " \t ", "the schedule is empty" },
    { "cosin(5)", "character 1: there is no function 'cosin'; there are constant, " },
    { "cosin(5)", "plateau, sequence and absolute" },
    { "warmup(5) * Cosine(5)", "character 13: there is no function 'Cosine'" },
    { "cosine", "character 7: '(' is missing after cosine; it is written cosine(n, end=0)" },
    { "sequence", "'(' is missing after sequence" },
    { "cosine()", "cosine: the argument n is missing; it is written cosine(n, end=0)" },
    { "polynomial(5)", "the argument power is missing" },
    { "wsd(5, 5)", "the argument decay is missing" },
    { "cosine(end=0.5)", "the argument n is missing" },
    { "cosine(5, 0, 3)", "character 14: cosine: '3' is an argument too many; it is written" },
    { "plateau(0.1, 1, 1e-4, 0, 5)", "'5' is an argument too many" },
    { "cosine(5, start=3)", "character 11: cosine has no argument 'start'; it is written" },
    { "cosine(5, =3)", "cosine has no argument ''" },
    { "cosine(5, end=0.1, end=0.1)", "cosine: end is given twice" },
    { "cosine(5, n=6)", "cosine: n is given twice" },
    { "cosine(end=0.1, 5)", "'5' stands after a named argument; write n=5" },
    { "cosine(abc)", "cosine: n = 'abc' is not a number" },
    { "cosine(5, end=nan)", "end = 'nan' is not a number" },
    { "cosine(5, end=inf)", "end = 'inf' is not a number" },
    { "cosine(5, end=1e999)", "end = '1e999' is not a number" },
    { "cosine(5, end=)", "end = '' is not a number" },
    { "cosine(0x10)", "'0x10' is not a number" },
    { "cosine(5 6)", "'5 6' is not a number" },
    { "cosine(5,)", "character 10: cosine: a number is missing before ')'" },
    { "cosine(,5)", "a number is missing before ','" },
    { "cosine(linear(3))", "cosine: 'linear(' stands where a number is expected" },
    { "cosine(0)", "cosine: n = 0 must be a whole number of steps from 1" },
    { "cosine(-3)", "n = -3 must be a whole number" },
    { "cosine(2.5)", "n = 2.5 must be a whole number" },
    { "cosine(9007199254740992)", "must be a whole number of steps from 1 to 2^53 - 1" },
    { "cosine(1e300)", "n = 1e300 must be" },
    { "step(5, -0.1)", "factor = -0.1 must be a number from 0 up" },
    { "multistep(-1, 5)", "factor = -1 must be" },
    { "exponential(1e400)", "factor = '1e400' is not a number" },
    { "constant(-1)", "value = -1 must be a number from 0 up" },
    { "polynomial(5, 0)", "power = 0 must be above 0" },
    { "polynomial(5, 2e6)", "at most 1e6" },
    { "cosine_restarts(5, 0.5)", "grow = 0.5 must be in [1, 1e6]" },
    { "onecycle(5, peak_at=1)", "peak_at = 1 must be in (0, 1)" },
    { "onecycle(5, peak_at=0)", "peak_at = 0 must be in (0, 1)" },
    { "plateau(1)", "factor = 1 must be in [0, 1)" },
    { "plateau(patience=1.5)", "patience = 1.5 must be a whole number from 0" },
    { "plateau(threshold=1)", "threshold = 1 must be in [0, 1)" },
    { "plateau(floor=1)", "floor = 1 must be in [0, 1)" },
    { "wsd(-1, 5, 5)", "warmup = -1 must be a whole number from 0" },
    { "wsd(1, 5, 0)", "decay = 0 must be a whole number of steps from 1" },
    { "multistep(0.1)", "multistep: its steps are missing" },
    { "multistep(0.1, 30, 20)", "step 20 stands after 30; sort the steps" },
    { "multistep(0.1, 30, 30)", "step 30 is given twice" },
    { "multistep(0.1, 0)", "step = 0 must be a whole number" },
    { "cosine(5", "character 7: this '(' is never closed" },
    { "cosine(", "this '(' is never closed" },
    { "cosine(5,", "this '(' is never closed" },
    { "sequence(cosine(5), 5, linear(5)", "character 9: this '(' is never closed" },
    { "sequence(cosine(5),", "character 9: this '(' is never closed" },
    { "absolute(cosine(5)", "character 9: this '(' is never closed" },
    { "cosine(5))", "character 10: this ')' was never opened" },
    { "cosine(5) linear(3)", "character 11: 'linear(3)' follows after the schedule's end" },
    { "cosine(5), linear(3)", "', linear(3)' follows after the schedule's end" },
    { "cosine(5*2)", "'*' stands where ',' or ')' is expected" },
    { "cosine(n=5=6)", "'=' stands where ',' or ')' is expected" },
    { "cosine(5) *", "character 12: a function is missing at the end" },
    { "* cosine(5)", "character 1: a function is missing here" },
    { "cosine(5) ** linear(3)", "character 12: a function is missing here" },
    { "0.5 * cosine(5)", "'0.5' is not a function; a plain number is written constant(0.5)" },
    { "\xc3\xa9(5)", "is not a function" },
    { "sequence()", "a function is missing here" },
    { "sequence(cosine(5))", "one schedule is no sequence" },
    { "sequence(cosine(5), 5)", "what follows after 5 steps is missing" },
    { "sequence(cosine(5), 0, linear(5))", "sequence: n = 0 must be a whole number" },
    { "sequence(cosine(5), linear(5))", "sequence: n = 'linear' is not a number" },
    { "sequence(5, cosine(5))", "'5' is not a function" },
    { "sequence(absolute(cosine(5)), 5, linear(5))", "absolute() cannot stand inside sequence()" },
    { "absolute(cosine(5)) * absolute(linear(3))", "absolute() stands here a second time" },
    { "absolute(absolute(linear(3)))", "absolute() stands here a second time" },
    { "absolute()", "a function is missing here" },
};

static void test_refusals(void **state)
{
    double value;
    eden_error e;
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refuse(refusals[i].text, refusals[i].part);
    assert_int_equal(eden_schedule_value(NULL, 1, &value, &e), EDEN_E_ARGUMENT);
    assert_non_null(strstr(e.text, "schedule is NULL"));
    assert_int_equal(eden_schedule_value("linear(2)", 1, NULL, &e), EDEN_E_ARGUMENT);
    assert_non_null(strstr(e.text, "value is NULL"));
    assert_int_equal(eden_schedule_value("linear(2)", 0, &value, &e), EDEN_E_ARGUMENT);
    assert_non_null(strstr(e.text, "steps count from 1"));
}

/* `depth` sequences, one in the other. */
static char *nested(char *text, int depth)
{
    *text = 0;
    for (int i = 0; i < depth; i++) strcat(text, "sequence(");
    strcat(text, "step(1,0.5)");
    for (int i = 0; i < depth; i++) strcat(text, ",1,step(1,0.5))");
    return text;
}

/* Limits: of depth, of length, and texts cut anywhere. */
static void test_limits(void **state)
{
    char text[8192];
    static const char whole[] = "absolute(warmup(5,start=0.1)*sequence(multistep(0.1,1,2),3,cosine(5)))";
    (void)state;
    assert_true(at(nested(text, 8), 3) == 0.5);
    refuse(nested(text, 9), "nested deeper than 8");
    refuse(nested(text, 100), "nested deeper than 8");
    strcpy(text, "absolute(step(1,0.5))");
    for (int i = 0; i < 9; i++) strcat(text, "*sequence(step(1,0.5),1,step(1,0.5))");
    assert_true(at(text, 3) == ldexp(1, -11)); /* beside each other is not nested */
    assert_true(at("sequence(linear(2), 1, linear(2)) * absolute(constant(3))", 2) == 1.5);

    strcpy(text, "step(1,0.5)");
    while (strlen(text) + 12 <= 4096) strcat(text, "*step(1,0.5)");
    memset(text + strlen(text), ' ', 4096 - strlen(text));
    text[4096] = 0;
    assert_true(at(text, 2) == ldexp(1, -341));
    strcpy(text + 4096, " ");
    refuse(text, "4097 characters long, at most 4096");
    memset(text, ',', 4096);
    memcpy(text, "step(", 5);
    text[4096] = 0;
    refuse(text, "a number is missing");
    memset(text, '(', 4096);
    refuse(text, "a function is missing here");

    for (size_t i = 1; i < sizeof whole - 1; i++) {
        double value;
        memcpy(text, whole, i);
        text[i] = 0;
        assert_int_equal(eden_schedule_value(text, 1, &value, NULL), EDEN_E_VALUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
