/* test_refusals.c - what is no argument at all: NULL for every pointer, sizes beyond
 * memory, configs that mean nothing; and what of it is fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <float.h>
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
    assert_int_equal(eden_rule_work_bytes(adam, NULL, (eden_extent){ 1, 1, 1, 0 }), 0);
    assert_int_equal(eden_rule_slot_length(adam, 99, values, (eden_extent){ 1, 1, 1, 0 }), 0);
    assert_null(eden_isa_name(eden_isa_count()));
    assert_int_equal(eden_isa_runs_here(eden_isa_count()), 0);
    for (int s = -2; s < 20; s++) {
        const char *text = eden_status_text((eden_status)s);
        assert_true(text && *text);
        assert_int_equal(strcmp(text, "unknown status") == 0, s < 0 || s > EDEN_E_MISMATCH);
    }
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
        const eden_extent x = { counts[i], 1, counts[i], 0 };
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
    struct { eden_tensor t; unsigned char more[8]; } later = { eden_vector(s.w, NULL, 1), { 0 } };
    later.t.size = sizeof later; /* of a later version */
    OK(eden_add_tensor(s.o, "later", &later.t, NULL, error));
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
        { { .clip_value = 1e-46 }, "clip_value = 1e-46 is too small for a float" },
        { { .clip_norm = -1 }, "clip_norm = -1 is outside [0, 3.4e38]" },
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
    static const eden_config good[] = {
        { .clip_value = (double)FLT_MAX }, { .clip_norm = (double)FLT_MAX }, { .clip_norm = 1.4e-45 },
        { .threads = 256 }, { .maximize = 1 }, { .zero_grad = 1 }, { .nonfinite = EDEN_APPLY },
        { .loss_scale = 0x1p-14 }, { .loss_scale = 0x1p32 }, { .accumulate = UINT32_MAX },
        { .average = EDEN_EMA, .average_decay = 0x1p-1074 }, { .average = EDEN_EMA, .average_decay = 1 - 0x1p-53 },
        { .average = EDEN_SWA, .average_start = UINT64_MAX, .average_every = UINT64_MAX },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct { eden_config c; unsigned char more[8]; } later = { good[i], { 0 } };
        later.c.size = sizeof later.c + 8 * (i % 2); /* or of a later version */
        o = NULL;
        OK(eden_optimizer_create(&o, "sgd", &later.c, error));
        eden_optimizer_destroy(o);
    }
}

enum { MORE = 24 };

/* Each struct as a later version may have it, with something in its last byte or the first
 * that is new: 0 if none of it is set. */
static void test_later_structs(void **state)
{
    struct { eden_config c; unsigned char more[MORE]; } c = { EDEN_CONFIG_INIT, { 0 } };
    struct { eden_tensor t; unsigned char more[MORE]; } t = { EDEN_TENSOR_INIT, { 0 } };
    struct { eden_file_tensor t; unsigned char more[MORE]; } f = { EDEN_FILE_TENSOR_INIT, { 0 } };
    struct { eden_rule_call c; unsigned char more[MORE]; } r = { EDEN_RULE_CALL_INIT, { 0 } };
    double hypers[64];
    eden_optimizer *o = NULL;
    eden_file *file = NULL;
    small s;
    (void)state;
    begin(&s, NULL);
    OK(eden_save(s.o, at("later"), 0, error));
    OK(eden_file_open(&file, at("later"), error));
    r.c.rule = eden_rule_find("sgd", NULL), r.c.hypers = hypers;
    OK(eden_rule_defaults(r.c.rule, hypers, 64));
    c.c.size = sizeof c, t.t.size = sizeof t, f.t.size = sizeof f, r.c.size = sizeof r;
    for (int k = 0; k < 2; k++) {
        const size_t i = k ? MORE - 1 : 0;
        c.more[i] = t.more[i] = f.more[i] = r.more[i] = 1;
        REFUSED(eden_optimizer_create(&o, "sgd", &c.c, error), ARGUMENT, "config: something is set that Eden 0");
        REFUSED(eden_add_tensor(s.o, "x", &t.t, NULL, error), ARGUMENT, "tensor 'x': something is set");
        REFUSED(eden_file_at(file, 0, &f.t, error), ARGUMENT, "eden_file_at: tensor: something is set");
        assert_int_equal(eden_rule_step(&r.c, NULL), ARGUMENT);
        c.more[i] = t.more[i] = f.more[i] = r.more[i] = 0;
    }
    t.t.ndim = 1;
    OK(eden_optimizer_create(&o, "sgd", &c.c, error));
    OK(eden_add_tensor(s.o, "x", &t.t, NULL, error));
    OK(eden_file_at(file, 0, &f.t, error));
    OK(eden_rule_step(&r.c, NULL));
    c.c.size = SIZE_MAX, t.t.size = SIZE_MAX, f.t.size = SIZE_MAX, r.c.size = SIZE_MAX;
    REFUSED(eden_optimizer_create(&o, "sgd", &c.c, error), ARGUMENT, "is too large; start from EDEN_CONFIG_INIT");
    REFUSED(eden_add_tensor(s.o, "y", &t.t, NULL, error), ARGUMENT, "is too large; start from EDEN_TENSOR_INIT");
    REFUSED(eden_file_at(file, 0, &f.t, error), ARGUMENT, "is too large; start from EDEN_FILE_TENSOR_INIT");
    assert_int_equal(eden_rule_step(&r.c, NULL), ARGUMENT);
    eden_file_close(file);
    eden_optimizer_destroy(o);
    eden_optimizer_destroy(s.o);
}

/* A plain checkpoint says this and no more, so that what is off costs old readers nothing. */
static void test_keys(void **state)
{
    static const char *const keys[] = {
        "eden.accumulate", "eden.clip_norm", "eden.clip_value", "eden.format", "eden.grad_norm", "eden.group.w",
        "eden.maximize", "eden.nonfinite", "eden.parts", "eden.rule.default", "eden.settings.default",
        "eden.skipped", "eden.steps", "eden.steps.w", "eden.version",
    };
    enum { KEYS = sizeof keys / sizeof *keys };
    eden_file *file = NULL;
    const char *key;
    size_t n = 0, known = 0;
    small s;
    (void)state;
    begin(&s, NULL);
    OK(eden_step(s.o, error));
    OK(eden_save(s.o, at("plain"), 0, error));
    OK(eden_file_open(&file, at("plain"), error));
    for (; (key = eden_file_key(file, n)); n++)
        for (size_t i = 0; i < KEYS; i++) known += strcmp(key, keys[i]) == 0;
    for (size_t i = 0; n != known && (key = eden_file_key(file, i)); i++) print_error("%s\n", key);
    assert_true(n == KEYS && known == KEYS);
    eden_file_close(file);
    eden_optimizer_destroy(s.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_optimizer), cmocka_unit_test(test_no_other_pointer),
        cmocka_unit_test(test_no_file),      cmocka_unit_test(test_core),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_configs),
        cmocka_unit_test(test_keys),         cmocka_unit_test(test_later_structs),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
