/* test_refusals.c - what is no argument at all: NULL for every pointer, names that are
 * none, sizes beyond memory, text of every kind; and what of it is fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
        if (e_.status != (want)) fail_msg("%s: the error says %u", #call, e_.status);      \
        if (!strstr(e_.text, part)) fail_msg("'%s' does not contain '%s'", e_.text, part); \
    } while (0)
#define error (&e_)
#define ARGUMENT EDEN_E_ARGUMENT

typedef struct {
    eden_optimizer *o;
    float w[4], g[4];
} small;

static void begin(small *s, const eden_config *config)
{
    *s = (small){ .w = { 1, 2, 3, 4 }, .g = { 1, 1, 1, 1 } };
    const eden_tensor t = eden_vector(s->w, s->g, 4);
    OK(eden_optimizer_create(&s->o, "adam", config, error));
    OK(eden_add_tensor(s->o, "w", &t, NULL, error));
}

/* ---- NULL ------------------------------------------------------------------------------ */

static void test_no_optimizer(void **state)
{
    const eden_tensor t = eden_vector(NULL, NULL, 0);
    eden_optimizer *none = NULL;
    double value = 7;
    uint64_t n = 7;
    (void)state;
    REFUSED(eden_add_tensor(none, "w", &t, NULL, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_grad(none, "w", NULL, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_zero_grad(none, error), ARGUMENT, "eden_zero_grad: optimizer is NULL");
    REFUSED(eden_step(none, error), ARGUMENT, "eden_step: optimizer is NULL");
    REFUSED(eden_lookahead_begin(none, error), ARGUMENT, "eden_lookahead_begin: optimizer is NULL");
    REFUSED(eden_lookahead_end(none, error), ARGUMENT, "eden_lookahead_end: optimizer is NULL");
    REFUSED(eden_add_group(none, "g", NULL, NULL, error), ARGUMENT, "eden_add_group: optimizer is NULL");
    REFUSED(eden_set(none, NULL, "lr", 1, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_set_text(none, NULL, "lr=1", error), ARGUMENT, "eden_set_text: optimizer is NULL");
    REFUSED(eden_get(none, NULL, "lr", &value, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_get_at(none, NULL, "lr", 1, &value, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_schedule(none, NULL, "lr", "constant(1)", error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_schedule_custom(none, NULL, "lr", NULL, NULL, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_report(none, 1, error), ARGUMENT, "eden_report: optimizer is NULL");
    REFUSED(eden_save(none, at("a"), 0, error), ARGUMENT, "eden_save: optimizer is NULL");
    REFUSED(eden_load(none, at("a"), 0, error), ARGUMENT, "eden_load: optimizer is NULL");
    REFUSED(eden_get_state(none, "w", "m", NULL, 0, &n, error), ARGUMENT, "optimizer is NULL");
    REFUSED(eden_tensor_steps(none, "w", &n, error), ARGUMENT, "optimizer is NULL");
    assert_true(value == 7 && n == 7);
    assert_true(eden_steps(none) == 0 && eden_skipped(none) == 0 && eden_grad_norm(none) == 0);
    assert_true(eden_tensor_count(none) == 0 && eden_state_bytes(none) == 0);
    assert_null(eden_tensor_name(none, 0));
    assert_null(eden_note(none, "key"));
    eden_optimizer_destroy(NULL);
}

static void test_no_other_pointer(void **state)
{
    double value = 7;
    uint64_t n = 7;
    small s;
    (void)state;
    begin(&s, NULL);
    REFUSED(eden_add_tensor(s.o, NULL, &(eden_tensor)EDEN_TENSOR_INIT, NULL, error), EDEN_E_NAME, "1 to 255 bytes");
    REFUSED(eden_add_group(s.o, NULL, NULL, NULL, error), EDEN_E_NAME, "1 to 255 bytes");
    REFUSED(eden_set_grad(s.o, NULL, NULL, error), ARGUMENT, "name is NULL");
    REFUSED(eden_set(s.o, NULL, NULL, 1, error), ARGUMENT, "name is NULL");
    REFUSED(eden_set_text(s.o, NULL, NULL, error), ARGUMENT, "settings is NULL");
    REFUSED(eden_get(s.o, NULL, "lr", NULL, error), ARGUMENT, "value is NULL");
    REFUSED(eden_schedule_custom(s.o, NULL, "lr", NULL, NULL, error), ARGUMENT, "function is NULL");
    REFUSED(eden_schedule_value(NULL, 1, &value, error), ARGUMENT, "schedule is NULL");
    REFUSED(eden_schedule_value("constant(1)", 1, NULL, error), ARGUMENT, "value is NULL");
    REFUSED(eden_schedule_value("constant(1)", 0, &value, error), ARGUMENT, "count from 1");
    REFUSED(eden_get_state(s.o, "w", NULL, NULL, 0, &n, error), ARGUMENT, "slot is NULL");
    REFUSED(eden_get_state(s.o, "w", "m", NULL, 0, NULL, error), ARGUMENT, "count is NULL");
    REFUSED(eden_tensor_steps(s.o, "w", NULL, error), ARGUMENT, "steps is NULL");
    REFUSED(eden_get_state(s.o, "w", "typo", NULL, 0, &n, error), EDEN_E_NAME, "typo");
    REFUSED(eden_get_state(s.o, "w", "m", s.w, 3, &n, error), ARGUMENT, "has 4 values, room is for 3");
    REFUSED(eden_tensor_steps(s.o, "typo", &n, error), EDEN_E_NAME, "typo");
    REFUSED(eden_set_note(s.o, NULL, "x", error), ARGUMENT, "key is NULL");
    assert_null(eden_note(s.o, NULL));
    assert_null(eden_tensor_name(s.o, 1));
    assert_null(eden_group_rule(s.o, "typo"));
    assert_true(value == 7 && n == 7);
    /* Without an error to write to, the status is all there is. */
    assert_int_equal(eden_set(s.o, NULL, "lr", -1, NULL), EDEN_E_VALUE);
    OK(eden_step(s.o, error));
    eden_optimizer_destroy(s.o);
}

static void test_no_file(void **state)
{
    eden_file *file = NULL;
    eden_writer *writer = NULL;
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    static const uint64_t shape[] = { 1 };
    (void)state;
    REFUSED(eden_file_open(NULL, at("a"), error), ARGUMENT, "pointer is NULL");
    REFUSED(eden_file_open(&file, NULL, error), ARGUMENT, "pointer is NULL");
    REFUSED(eden_file_at(NULL, 0, &t, error), ARGUMENT, "file is NULL");
    REFUSED(eden_file_read(NULL, 0, &t, 1, error), ARGUMENT, "file is NULL");
    assert_true(eden_file_count(NULL) == 0 && eden_file_find(NULL, "a") == SIZE_MAX);
    assert_null(eden_file_key(NULL, 0));
    assert_null(eden_file_value(NULL, "a"));
    eden_file_close(NULL);
    eden_writer_destroy(NULL);
    assert_int_equal(eden_writer_create(NULL, NULL), ARGUMENT);
    assert_int_equal(eden_writer_text(NULL, "a", "b", NULL), ARGUMENT);
    assert_int_equal(eden_writer_tensor(NULL, "a", "F32", 1, shape, &t, NULL), ARGUMENT);
    assert_int_equal(eden_writer_keep(NULL, 1, NULL), ARGUMENT);
    assert_int_equal(eden_writer_write(NULL, at("a"), NULL), ARGUMENT);
    OK(eden_writer_create(&writer, error));
    assert_int_equal(eden_writer_text(writer, NULL, "b", NULL), ARGUMENT);
    assert_int_equal(eden_writer_keep(writer, 2, NULL), ARGUMENT);
    assert_int_equal(eden_writer_write(writer, NULL, NULL), ARGUMENT);
    OK(eden_writer_tensor(writer, "x", "U8", 1, shape, "y", error));
    OK(eden_writer_write(writer, at("a"), error));
    eden_writer_destroy(writer);
    OK(eden_file_open(&file, at("a"), error));
    REFUSED(eden_file_at(file, 0, NULL, error), ARGUMENT, "EDEN_FILE_TENSOR_INIT");
    t.size--;
    REFUSED(eden_file_at(file, 0, &t, error), ARGUMENT, "EDEN_FILE_TENSOR_INIT");
    REFUSED(eden_file_at(file, 1, &t, error), ARGUMENT, "no tensor has the number 1");
    REFUSED(eden_file_read(file, 0, NULL, 1, error), ARGUMENT, "has 1 bytes, not 0");
    REFUSED(eden_file_read(file, 0, &t, 2, error), ARGUMENT, "has 1 bytes, not 2");
    assert_true(eden_file_find(file, NULL) == SIZE_MAX);
    assert_null(eden_file_value(file, NULL));
    eden_file_close(file);
}

static void test_core(void **state)
{
    const eden_preset *preset = (const eden_preset *)&preset;
    const eden_rule *adam = eden_rule_find("adam", &preset);
    double values[32];
    (void)state;
    assert_non_null(adam);
    assert_null(preset);
    assert_null(eden_rule_find(NULL, &preset));
    assert_null(eden_rule_find("ada", NULL));
    assert_string_equal(eden_rule_name(eden_rule_find("nesterov", NULL)), "sgd");
    assert_string_equal(eden_rule_name(eden_rule_find("nesterov", &preset)), "sgd");
    assert_string_equal(preset->name, "nesterov");
    assert_null(eden_rule_title(NULL));
    assert_null(eden_rule_paper(NULL));
    assert_null(eden_rule_formula(NULL));
    assert_int_equal(eden_rule_year(NULL), 0);
    assert_null(eden_rule_at(eden_rule_count()));
    assert_null(eden_rule_peer(adam, 99));
    assert_null(eden_rule_preset(adam, 0));
    assert_true(eden_rule_hyper_index(adam, NULL) == SIZE_MAX);
    assert_int_equal(eden_rule_defaults(adam, NULL, 32), ARGUMENT);
    assert_int_equal(eden_rule_defaults(adam, values, 3), ARGUMENT);
    assert_int_equal(eden_rule_defaults(adam, values, 32), EDEN_OK);
    assert_int_equal(eden_rule_allows(adam, 99, 1), 0);
    assert_int_equal(eden_rule_work_bytes(adam, NULL, (eden_extent){ 1, 1, 1 }), 0);
    assert_int_equal(eden_rule_slot_length(adam, 99, values, (eden_extent){ 1, 1, 1 }), 0);
    assert_null(eden_isa_name(eden_isa_count()));
    assert_int_equal(eden_isa_runs_here(eden_isa_count()), 0);
    for (int s = -2; s < 20; s++) {
        const char *text = eden_status_text((eden_status)s);
        assert_true(text && *text);
        assert_int_equal(strcmp(text, "unknown status") == 0, s < 0 || s > EDEN_E_MISMATCH);
    }
}

/* ---- names and text --------------------------------------------------------------------------- */

/* Well-formed UTF-8 without control characters, 1 to 255 bytes, and nothing else. */
static void test_names(void **state)
{
    static const char *const bad[] = {
        "", "\n", "a\tb", "\x1b[31m", "a\x7f", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x28\xa1", "\xf0\x90\x28\xbc",
    };
    static const char *const good[] = {
        " ", "%n%s", "a=b, c", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "'\"\\{}", "w@m",
    };
    char longest[257];
    small s;
    (void)state;
    begin(&s, NULL);
    const eden_tensor t = eden_vector(NULL, NULL, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(eden_add_tensor(s.o, bad[i], &t, NULL, error), EDEN_E_NAME, "UTF-8");
        REFUSED(eden_add_group(s.o, bad[i], NULL, NULL, error), EDEN_E_NAME, "UTF-8");
        REFUSED(eden_set_note(s.o, bad[i], "x", error), EDEN_E_NAME, "UTF-8");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(eden_add_tensor(s.o, good[i], &t, NULL, error));
        OK(eden_add_group(s.o, good[i], NULL, NULL, error));
        OK(eden_set_note(s.o, good[i], good[i], error));
        assert_string_equal(eden_note(s.o, good[i]), good[i]);
        REFUSED(eden_add_group(s.o, good[i], NULL, NULL, error), EDEN_E_NAME, "already");
    }
    memset(longest, 'n', 256), longest[256] = 0;
    REFUSED(eden_add_tensor(s.o, longest, &t, NULL, error), EDEN_E_NAME, "255 bytes");
    longest[255] = 0;
    OK(eden_add_tensor(s.o, longest, &t, NULL, error));
    eden_optimizer_destroy(s.o);
}

/* Whatever text a caller has wrong is shown printable, short, and never as a format. */
static void test_wrong_text(void **state)
{
    enum { LONG = 65536 };
    char *text = malloc(LONG + 1);
    small s;
    eden_error e;
    (void)state;
    assert_non_null(text);
    begin(&s, NULL);
    static const char *const units[] = { "%n%s%x", "\x1b[31m", "\xe2\x82\xac", "\xff\xfe", "a", "\xf0\x9f\x98\x80" };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t n = strlen(units[i]);
        for (size_t k = 0; k < LONG; k++) text[k] = units[i][k % n];
        text[LONG] = 0;
        const eden_status all[] = {
            eden_set(s.o, NULL, text, 1, &e), eden_set(s.o, text, "lr", 1, &e), eden_set_text(s.o, NULL, text, &e),
            eden_schedule(s.o, NULL, "lr", text, &e), eden_set_grad(s.o, text, NULL, &e),
            eden_optimizer_create(&(eden_optimizer *){ NULL }, text, NULL, &e),
        };
        for (size_t k = 0; k < 6; k++) assert_true(all[k] == EDEN_E_NAME || all[k] == EDEN_E_VALUE);
        assert_true(strlen(e.text) < sizeof e.text);
        for (const char *c = e.text; *c; c++) assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
        assert_null(strchr(e.text, '\x1b'));
    }
    /* Cut at a character, for every place where the cut may fall. */
    for (size_t lead = 0; lead < 8; lead++) {
        size_t at = lead;
        memset(text, 'a', lead);
        for (; at < 900; at += 4) memcpy(text + at, "\xf0\x9f\x98\x80", 4);
        text[at] = 0;
        REFUSED(eden_load(s.o, text, 0, error), EDEN_E_IO, "aa" + (lead < 2 ? 2 : 0));
        eden_load(s.o, text, 0, &e);
        const unsigned char *c = (const unsigned char *)e.text;
        while (*c) {
            assert_true(*c < 0x80 || (*c == 0xf0 && c[1] == 0x9f && c[2] == 0x98 && c[3] == 0x80));
            c += *c < 0x80 ? 1 : 4;
        }
    }
    free(text);
    eden_optimizer_destroy(s.o);
}

static void test_notes(void **state)
{
    small s;
    (void)state;
    begin(&s, NULL);
    OK(eden_set_note(s.o, "a", NULL, error)); /* there is none: fine */
    OK(eden_set_note(s.o, "a", "1", error));
    OK(eden_set_note(s.o, "b", "2", error));
    OK(eden_set_note(s.o, "c", "", error));
    OK(eden_set_note(s.o, "b", "22", error));
    assert_string_equal(eden_note(s.o, "b"), "22");
    OK(eden_set_note(s.o, "a", NULL, error));
    assert_null(eden_note(s.o, "a"));
    assert_string_equal(eden_note(s.o, "b"), "22");
    assert_string_equal(eden_note(s.o, "c"), "");
    eden_optimizer_destroy(s.o);
}

/* ---- sizes --------------------------------------------------------------------------------------- */

/* Counts and bytes at the ends of 32 and 64 bits, by arithmetic alone. */
static void test_sizes(void **state)
{
    static const uint64_t counts[] = { (1u << 31) - 1, 1u << 31, (UINT64_C(1) << 31) + 1, UINT64_C(0xffffffff),
                                       (UINT64_C(1) << 32) + 1, SIZE_MAX / 16 };
    double h[32];
    small s;
    (void)state;
    begin(&s, NULL);
    assert_int_equal(eden_rule_defaults(eden_rule_find("adam", NULL), h, 32), EDEN_OK);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const eden_extent x = { counts[i], 1, counts[i] };
        char name[32];
        snprintf(name, sizeof name, "n%zu", i);
        assert_true(eden_rule_state_bytes(eden_rule_find("adam", NULL), h, x) == 8 * counts[i]);
        eden_tensor t = eden_vector(s.w, NULL, counts[i]);
        OK(eden_add_tensor(s.o, name, &t, NULL, error));
    }
    static const uint64_t beyond[][2] = { { SIZE_MAX / 16 + 1, 1 }, { SIZE_MAX / 4 + 1, 1 }, { SIZE_MAX, 1 },
                                          { UINT64_C(1) << 32, UINT64_C(1) << 32 }, { 0, SIZE_MAX } };
    for (size_t i = 0; i < 4; i++) {
        eden_tensor t = eden_matrix(s.w, NULL, beyond[i][0], beyond[i][1]);
        REFUSED(eden_add_tensor(s.o, "x", &t, NULL, error), EDEN_E_SHAPE, "more elements than memory has addresses");
    }
    eden_tensor t = eden_matrix(s.w, NULL, beyond[4][0], beyond[4][1]);
    OK(eden_add_tensor(s.o, "empty", &t, NULL, error));
    t = eden_vector(s.w, NULL, 1), t.split = 2;
    REFUSED(eden_add_tensor(s.o, "x", &t, NULL, error), EDEN_E_SHAPE, "split = 2 is above ndim = 1");
    t = eden_vector(s.w, NULL, 1), t.device = 1;
    REFUSED(eden_add_tensor(s.o, "x", &t, NULL, error), EDEN_E_DTYPE, "device 1");
    t = eden_vector(s.w, NULL, 1), t.reserved = 1;
    REFUSED(eden_add_tensor(s.o, "x", &t, NULL, error), ARGUMENT, "reserved");
    t = eden_vector(s.w, NULL, 1), t.size += 8; /* of a later version */
    OK(eden_add_tensor(s.o, "later", &t, NULL, error));
    /* More state than there can be: refused, and nothing changed. */
    REFUSED(eden_save(s.o, at("huge"), 0, error), EDEN_E_ARGUMENT, "overlap");
    eden_optimizer_destroy(s.o);
    assert_int_not_equal(access(at("huge"), F_OK), 0);
}

static void test_configs(void **state)
{
    static const struct { eden_config c; const char *part; } bad[] = {
        { { .average = 3 }, "average = 3 is none of" },
        { { .average_decay = 0.5 }, "average_decay has no effect without" },
        { { .average_start = 5 }, "average_start has no effect without" },
        { { .average_every = 5 }, "average_every has no effect without" },
        { { .average = EDEN_SWA, .average_decay = 0.5 }, "no effect on EDEN_SWA" },
        { { .average = EDEN_EMA }, "average_decay = 0 is outside (0, 1)" },
        { { .average = EDEN_EMA, .average_decay = 1 }, "average_decay = 1 is outside (0, 1)" },
        { { .maximize = 2 }, "maximize = 2" },
        { { .zero_grad = 2 }, "zero_grad = 2" },
        { { .threads = 257 }, "threads = 257" },
        { { .nonfinite = 3 }, "nonfinite = 3" },
        { { .loss_scale = 3 }, "no power of two" },
        { { .loss_scale_window = 3 }, "no effect without" },
        { { .loss_scale = 2, .nonfinite = EDEN_APPLY }, "EDEN_APPLY does not" },
        { { .clip_value = 1e-46 }, "clip_value = 1e-46" },
        { { .clip_norm = 1e39 }, "clip_norm = 1e+39" },
    };
    eden_optimizer *o = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eden_config c = bad[i].c;
        c.size = sizeof c;
        REFUSED(eden_optimizer_create(&o, "sgd", &c, error), EDEN_E_VALUE, bad[i].part);
        assert_null(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_optimizer), cmocka_unit_test(test_no_other_pointer),
        cmocka_unit_test(test_no_file),      cmocka_unit_test(test_core),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_wrong_text),
        cmocka_unit_test(test_notes),        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_configs),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
