/* test_plateaus.c - what plateaus remember, as text and in a file; who is told the loss; and
 * schedules at the ends of what they take. */
#include <float.h>
#include <math.h>

#include "optimizer/schedule.h"
#include "tests/checkpoint_model.h"

/* ---- the memory as text ---------------------------------------------------------------- */

static const struct { const char *text; int good; } memories[] = {
    { "1 none 0", 1 },   { "0.5 3 2", 1 },     { "0.25 -1e+300 0", 1 }, { "1 3 2", 1 },
    { "", 0 },           { "1", 0 },           { "1 ", 0 },             { "1;", 0 },
    { "1 3", 0 },        { "1 3;", 0 },        { "1 3 ", 0 },           { "1 3;2", 0 },
    { "1 none", 0 },     { "1 none;", 0 },     { "1 none ", 0 },        { "1 none;0", 0 },
    { "1;3 2", 0 },      { "1  none 0", 0 },   { "1 none  0", 0 },      { " 1 none 0", 0 },
    { "1 none 0 ", 0 },  { "1 none 0;", 0 },   { "1 none 0; ", 0 },     { "1 none 0; 1 none 0", 0 },
    { "1 none 1", 0 },   { "1 3 3", 0 },       { "1 3 -1", 0 },         { "1 3 1.5", 0 },
    { "1.1 3 0", 0 },    { "0.2 3 0", 0 },     { "x 3 0", 0 },          { "1 x 0", 0 },
};

/* A factor of 0.5 or more, at most two losses that were no better. */
static void test_memories(void **state)
{
    eden_schedule_node node = { 0 };
    (void)state;
    OK(eden_schedule_compile(&node, "plateau(0.5, 2, 0, 0.25)", error));
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        char text[64], *end = malloc(strlen(memories[i].text) + 1); /* nothing behind it */
        strcpy(end, memories[i].text);
        OK(eden_schedule_remember(&node, "0.5 7 1", error));
        const eden_status status = eden_schedule_remember(&node, end, NULL);
        free(end);
        if (status != (memories[i].good ? EDEN_OK : EDEN_E_FORMAT)) fail_msg("'%s': %u", memories[i].text, status);
        const size_t length = eden_schedule_memory(&node, text, sizeof text);
        assert_int_equal(length, strlen(text));
        assert_string_equal(text, memories[i].good ? memories[i].text : "0.5 7 1");
    }
    eden_schedule_clear(&node);
}

/* Texts of 250, 252 ... 268 letters, around the 256 that are tried first: a plateau that has
 * come down says "0.5 2 0" and one that waits "1 2 1". */
static void test_long_memories(void **state)
{
    (void)state;
    for (size_t down = 0; down < 10; down++) {
        eden_optimizer *o = NULL, *other = NULL;
        char schedule[2048] = "", want[1024] = "";
        size_t room = 0;
        for (size_t k = 0; k < 36; k++) {
            const int falls = k < down;
            room += (size_t)snprintf(schedule + room, sizeof schedule - room, "%splateau(0.5, %d)", k ? " * " : "",
                                     falls ? 0 : 9);
            strcat(strcat(want, k ? "; " : ""), falls ? "0.5 2 0" : "1 2 1");
        }
        OK(eden_optimizer_create(&o, "sgd", NULL, error));
        OK(eden_optimizer_create(&other, "sgd", NULL, error));
        OK(eden_schedule(o, NULL, "lr", schedule, error));
        for (int k = 0; k < 2; k++) OK(eden_report(o, 2, error));
        OK(eden_save(o, file("a"), 0, error));
        eden_file *f = NULL;
        OK(eden_file_open(&f, file("a"), error));
        assert_string_equal(eden_file_value(f, "eden.plateau.lr.default"), want);
        eden_file_close(f);
        OK(eden_load(other, file("a"), 0, error));
        OK(eden_save(other, file("b"), 0, error));
        same_files(file("a"), file("b"), "a long memory");
        eden_optimizer_destroy(o);
        eden_optimizer_destroy(other);
    }
}

/* Every group's plateaus are told, not only the first one's. */
static void test_every_group(void **state)
{
    static const char *const groups[] = { "default", "b", "c" };
    eden_optimizer *o = NULL;
    double value = 0;
    (void)state;
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_add_group(o, "b", NULL, NULL, error));
    OK(eden_add_group(o, "c", "sgd", NULL, error));
    for (size_t g = 0; g < 3; g++) {
        OK(eden_set(o, groups[g], "lr", 1, error));
        OK(eden_schedule(o, groups[g], "lr", "plateau(0.5, 0)", error));
        OK(eden_schedule(o, groups[g], "weight_decay", "plateau(0.25, 0)", error));
        OK(eden_set(o, groups[g], "weight_decay", 1, error));
    }
    for (int k = 0; k < 2; k++) OK(eden_report(o, 1, error));
    for (size_t g = 0; g < 3; g++) {
        OK(eden_get_at(o, groups[g], "lr", 1, &value, error));
        assert_true(value == 0.5);
        OK(eden_get_at(o, groups[g], "weight_decay", 1, &value, error));
        assert_true(value == 0.25);
    }
    eden_optimizer_destroy(o);
}

/* ---- at the ends ------------------------------------------------------------------------- */

static double value_of(const char *schedule, uint64_t step)
{
    double value = NAN;
    OK(eden_schedule_value(schedule, step, &value, error));
    return value;
}

/* The last number is in, the first one beyond is not. */
static void test_bounds(void **state)
{
    static const struct { const char *in, *out; } bounds[] = {
        { "step(9007199254740991)", "step(9007199254740992)" },
        { "step(1)", "step(0)" },
        { "plateau(0.1, 9007199254740991)", "plateau(0.1, 9007199254740992)" },
        { "plateau(0.1, 0)", "plateau(0.1, -1)" },
        { "wsd(9007199254740991, 0, 1)", "wsd(9007199254740992, 0, 1)" },
        { "wsd(0, 9007199254740991, 1)", "wsd(0, 9007199254740992, 1)" },
        { "constant(1.7976931348623157e308)", "constant(1.8e308)" },
        { "constant(0)", "constant(-5e-324)" },
        { "plateau(0)", "plateau(-5e-324)" },
        { "plateau(0.9999999999999999)", "plateau(1)" },
        { "onecycle(9, 0, 5e-324)", "onecycle(9, 0, 0)" },
        { "onecycle(9, 0, 0.9999999999999999)", "onecycle(9, 0, 1)" },
        { "polynomial(9, 5e-324)", "polynomial(9, 0)" },
        { "polynomial(9, 1e6)", "polynomial(9, 1000000.0000000001)" },
        { "cosine_restarts(9, 1)", "cosine_restarts(9, 0.9999999999999999)" },
        { "cosine_restarts(9, 1e6)", "cosine_restarts(9, 1000000.0000000001)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        double value = 42;
        OK(eden_schedule_value(bounds[i].in, 1, &value, error));
        if (eden_schedule_value(bounds[i].out, 1, &value, NULL) != EDEN_E_VALUE) fail_msg("%s", bounds[i].out);
    }
}

/* Powers of 2 that no double holds, and what is between, exactly. */
static void test_powers(void **state)
{
    (void)state;
    assert_true(value_of("exponential(0.5)", 1023) == 0x1p-1022);
    assert_true(value_of("exponential(0.5)", 1075) == 0x1p-1074);
    assert_true(value_of("exponential(0.5)", 1077) == 0);
    assert_true(value_of("exponential(2)", 1024) == 0x1p1023);
    assert_true(value_of("exponential(2)", 1025) == DBL_MAX);
    for (int k = 11; k < 64; k++) {
        assert_true(value_of("exponential(0.5)", (uint64_t)1 << k) == 0);
        assert_true(value_of("exponential(2)", (uint64_t)1 << k) == DBL_MAX);
        assert_true(value_of("exponential(1)", (uint64_t)1 << k) == 1);
    }
    assert_true(value_of("step(1, 5e-324)", 2) == 5e-324);
}

/* 1 + (end - 1) sin^2(pi / (2 n)): at the beginning of a very long cosine that is 1 to the
 * last bit, however high the end. */
static void test_long_cosine(void **state)
{
    (void)state;
    assert_true(value_of("cosine(9000000000000000, 0.3)", 1) == 1);
    assert_true(value_of("cosine(9000000000000000, 7)", 1) == 1);
    assert_true(fabs(value_of("cosine(9000000000000000, 1e17)", 1) - 1) < 1e-14);
    assert_true(value_of("cosine(4, 1e17)", 4) == 1e17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memories),
        IN_FOLDER(test_long_memories),
        cmocka_unit_test(test_every_group),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_long_cosine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
