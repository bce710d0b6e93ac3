/* test_fpu.c - every public function leaves the caller's floating-point environment as
 * it is, whatever that is, raises no signal in it, and gives the same results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/fpu.h"
#include "tests/scratch.h"
#include "tests/fpu_calls.h"

/* ---- rules ---------------------------------------------------------------------------------- */

enum { N = 300, HYPERS = 32 };

static void step_of(const eden_rule *rule, double *hypers)
{
    static float p[N], g[N], s[4][N];
    _Alignas(64) static unsigned char work[1 << 15];
    float *state[4] = { s[0], s[1], s[2], s[3] };
    eden_rule_call call = EDEN_RULE_CALL_INIT;
    const eden_extent x = { N, 10, 30, 0 };
    const eden_slot *slot;
    uint32_t reads = 0, writes = 0;
    size_t index = 0;
    fill(p, N, 1), fill(g, N, 2), memset(s, 0, sizeof s);
    call.rule = rule, call.hypers = hypers, call.extent = x, call.param = p, call.grad = g;
    call.state = state, call.work = work;
    IN_MODE(call.work_bytes = eden_rule_work_bytes(rule, hypers, x), "eden_rule_work_bytes");
    assert_true(call.work_bytes <= sizeof work);
    note_words(call.work_bytes);
    WORD(eden_rule_state_bytes(rule, hypers, x));
    WORD(eden_rule_traffic(rule, 0, hypers, x, &reads, &writes));
    note_words(reads << 16 | writes);
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++) {
        uint64_t length;
        IN_MODE(length = eden_rule_slot_length(rule, i, hypers, x), "eden_rule_slot_length");
        note_words(length);
        call.states += slot->kind == EDEN_STATE && length;
    }
    for (call.step = 1; call.step <= 3; call.step++) OK(eden_rule_step(&call, &index));
    note_floats(p, N);
    for (size_t i = 0; i < call.states; i++) note_floats(s[i], N);
    hypers[0] = NAN;
    STATUS(EDEN_E_VALUE, eden_rule_step(&call, &index));
}

static void rule_calls(void)
{
    const char *why = NULL;
    size_t index = 0;
    WORD(eden_rule_count());
    WORD(eden_rule_at(99) == NULL);
    WORD(eden_rule_find("nesterov", NULL) == NULL);
    for (size_t r = 0; r < eden_rule_count(); r++) {
        const eden_rule *rule = eden_rule_at(r);
        const eden_hyper *h;
        double hypers[HYPERS];
        TEXT(eden_rule_name(rule)); TEXT(eden_rule_title(rule)); TEXT(eden_rule_paper(rule));
        TEXT(eden_rule_formula(rule));
        WORD(eden_rule_year(rule));
        WORD(eden_rule_hyper(rule, 0) == NULL); WORD(eden_rule_slot(rule, 0) == NULL);
        WORD(eden_rule_preset(rule, 0) == NULL); WORD(eden_rule_peer(rule, 0) == NULL);
        WORD(eden_rule_hyper_index(rule, "lr"));
        OK(eden_rule_defaults(rule, hypers, HYPERS));
        step_of(rule, hypers);
        for (size_t i = 0; (h = eden_rule_hyper(rule, i)) != NULL; i++) {
            const double tries[] = { 1e-310, 1e-46, 1 - 1e-8, 0.1, NAN, INFINITY, -1, 4e38, 1e300 };
            for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
                WORD(eden_rule_allows(rule, i, tries[k]));
                if (eden_rule_defaults(rule, hypers, HYPERS)) fail();
                hypers[i] = tries[k];
                WORD(eden_rule_check(rule, hypers, &index, &why));
                note_words(index), note_text(why);
                if (h->kind == EDEN_REAL && eden_rule_check(rule, hypers, NULL, NULL) == EDEN_OK)
                    step_of(rule, hypers);
            }
        }
    }
}

static void other_core_calls(void)
{
    static const uint32_t dtypes[] = { EDEN_F32, EDEN_BF16, EDEN_F16 };
    float x[N], back[N];
    uint16_t narrow[N];
    TEXT(eden_version()); TEXT(eden_status_text(EDEN_E_IO));
    WORD(eden_isa_count()); WORD(eden_isa_best());
    TEXT(eden_isa_name(0));
    WORD(eden_isa_runs_here(0));
    fill(x, N, 3);
    x[7] = from_bits(0x7fa00000), x[8] = INFINITY, x[9] = FLT_MAX, x[10] = from_bits(1);
    for (size_t d = 1; d < 3; d++) {
        OK(eden_convert(narrow, dtypes[d], x, EDEN_F32, N));
        OK(eden_convert(back, EDEN_F32, narrow, dtypes[d], N));
        note_floats(back, N);
    }
}

/* ---- an optimizer ------------------------------------------------------------------------------ */

typedef struct {
    eden_optimizer *o;
    float w[N], g[N], v[N];
    uint16_t half[N], half_g[N];
} model;

/* A caller's code that leaves the environment changed, for the rest of the step. */
static double in_code(uint64_t step, void *context)
{
    (void)context;
    fpu_set(fpu_disturbed(1));
    return step % 2 ? 0.5 : 0.1;
}

static void create_calls(model *m, const char *rule, int how)
{
    eden_config c = EDEN_CONFIG_INIT;
    eden_config bad = EDEN_CONFIG_INIT;
    eden_optimizer *none = NULL;
    memset(m, 0, sizeof *m);
    bad.clip_norm = NAN;
    STATUS(EDEN_E_VALUE, eden_optimizer_create(&none, rule, &bad, error));
    bad.clip_norm = 0, bad.clip_value = 1e-310;
    STATUS(EDEN_E_VALUE, eden_optimizer_create(&none, rule, &bad, error));
    bad.clip_value = 0, bad.loss_scale = 3e-310;
    STATUS(EDEN_E_VALUE, eden_optimizer_create(&none, rule, &bad, error));
    bad.loss_scale = 0, bad.average = EDEN_EMA, bad.average_decay = NAN;
    STATUS(EDEN_E_VALUE, eden_optimizer_create(&none, rule, &bad, error));
    c.threads = 2;
    c.clip_norm = how == 1 ? 0.1 : 0, c.clip_value = how == 1 ? 1e-3 : 0;
    c.nonfinite = how == 2 ? EDEN_APPLY : EDEN_REFUSE;
    c.average = EDEN_EMA, c.average_decay = 0.9;
    c.accumulate = how == 1 ? 3 : 1;
    c.loss_scale = how == 0 ? 4 : 0;
    OK(eden_optimizer_create(&m->o, rule, &c, error));
    fill(m->w, N, 4);
    for (size_t i = 0; i < N; i++) m->half[i] = (uint16_t)(0x3f80 + i);
    eden_tensor t = eden_matrix(m->w, m->g, 10, 30);
    t.state_dtype = how == 0 ? EDEN_BF16 : EDEN_F32;
    OK(eden_add_group(m->o, "half", NULL, how == 1 ? "lr=1e-310" : "lr=0.0123", error));
    OK(eden_add_tensor(m->o, "w", &t, NULL, error));
    t = eden_vector(NULL, NULL, N);
    t.data = m->half, t.grad = m->half_g, t.dtype = t.grad_dtype = EDEN_BF16;
    t.rounding = how == 0 ? EDEN_STOCHASTIC : how == 1 ? EDEN_KAHAN : EDEN_SPLIT;
    OK(eden_add_tensor(m->o, "half", &t, "half", error));
}

static void setting_calls(model *m)
{
    double value = 0;
    OK(eden_set(m->o, NULL, "lr", 0.0173, error));
    STATUS(EDEN_E_VALUE, eden_set(m->o, NULL, "lr", NAN, error));
    STATUS(EDEN_E_VALUE, eden_set(m->o, NULL, "lr", 1e39, error));
    OK(eden_set_text(m->o, NULL, "lr=0.1", error));
    STATUS(EDEN_E_VALUE, eden_set_text(m->o, NULL, "lr=-1e-320", error));
    OK(eden_get(m->o, "half", "lr", &value, error));
    note_double(value);
    OK(eden_schedule(m->o, NULL, "lr", "warmup(7) * cosine(33, end=0.3)*plateau(0.7,2)", error));
    STATUS(EDEN_E_VALUE, eden_schedule(m->o, NULL, "lr", "warmup(1e999)", error));
    OK(eden_schedule_custom(m->o, "half", "lr", in_code, NULL, error));
    OK(eden_get_at(m->o, NULL, "lr", 11, &value, error));
    note_double(value);
    OK(eden_schedule_value("exponential(0.37, 3)", 1000000007, &value, error));
    note_double(value);
    OK(eden_set_note(m->o, "epoch", "3", error));
    TEXT(eden_note(m->o, "epoch"));
    OK(eden_report(m->o, 0.1, error));
    STATUS(EDEN_E_VALUE, eden_report(m->o, NAN, error));
    STATUS(EDEN_E_VALUE, eden_report(m->o, -INFINITY, error));
}

static void step_calls(model *m, int how)
{
    for (uint64_t t = 0; t < 6; t++) {
        OK(eden_zero_grad(m->o, error));
        for (size_t i = 0; i < N; i++) m->g[i] = number(mix(t * N + i));
        for (size_t i = 0; i < N; i++) m->half_g[i] = (uint16_t)(0x3e00 + mix(i + t) % 256);
        OK(eden_set_grad(m->o, "w", m->g, error));
        if (how == 2) OK(eden_step_tensor(m->o, "half", error));
        OK(eden_step(m->o, error));
    }
    if (how != 2) {
        for (int k = 0; k < 2; k++) STATUS(EDEN_OK, eden_step(m->o, error));
        m->g[5] = from_bits(0x7f800001);
        VOID((void)eden_step(m->o, NULL)); /* refused, or a smaller loss scale, or counted */
        m->g[5] = 0;
    }
    DOUBLE(eden_grad_norm(m->o)); DOUBLE(eden_loss_scale(m->o));
    WORD(eden_steps(m->o)); WORD(eden_skipped(m->o)); WORD(eden_state_bytes(m->o));
    note_floats(m->w, N);
    for (size_t i = 0; i < N; i++) note_words(m->half[i]);
}

static void look_calls(model *m)
{
    uint64_t n = 0;
    WORD(eden_tensor_count(m->o)); TEXT(eden_tensor_name(m->o, 0));
    WORD(eden_group_rule(m->o, NULL) == NULL);
    const eden_slot *slot = eden_rule_slot(eden_group_rule(m->o, NULL), 2);
    if (slot && slot->kind == EDEN_STATE) OK(eden_get_state(m->o, "w", slot->name, m->v, N, &n, error));
    else STATUS(EDEN_E_NAME, eden_get_state(m->o, "w", "typo", m->v, N, &n, error));
    note_floats(m->v, n);
    OK(eden_tensor_steps(m->o, "w", &n, error));
    note_words(n);
    OK(eden_get_average(m->o, "w", m->v, N, &n, error));
    note_floats(m->v, N);
    for (int k = 0; k < 2; k++) {
        OK(eden_swap_average(m->o, error));
        note_floats(m->w, N);
    }
}

static void lookahead_calls(void)
{
    model m = { 0 };
    eden_optimizer *o = NULL;
    fill(m.w, N, 9), fill(m.g, N, 10);
    eden_tensor t = eden_vector(m.w, m.g, N);
    OK(eden_optimizer_create(&o, "momentum", NULL, error));
    OK(eden_set(o, NULL, "lookahead", 1, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    for (int k = 0; k < 3; k++) {
        OK(eden_lookahead_begin(o, error));
        note_floats(m.w, N);
        OK(eden_lookahead_end(o, error));
        OK(eden_lookahead_begin(o, error));
        OK(eden_step(o, error));
        note_floats(m.w, N);
    }
    VOID(eden_optimizer_destroy(o));
}

static void lent_calls(void)
{
    model m = { 0 };
    eden_optimizer *o = NULL;
    eden_layout layout = EDEN_LAYOUT_INIT;
    static uint16_t state[N];
    memset(state, 0, sizeof state);
    fill(m.w, N, 11), fill(m.g, N, 12);
    eden_tensor t = eden_vector(m.v, m.g, N);
    t.state_dtype = EDEN_BF16;
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    OK(eden_set(o, NULL, "beta1", 1e-310, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_set_data(o, "w", m.w, error));
    OK(eden_state_layout(o, "w", "m", &layout, error));
    note_words(layout.bytes), note_words(layout.count);
    STATUS(EDEN_E_ARGUMENT, eden_set_state(o, "w", "m", state, layout.bytes + 1, error));
    OK(eden_set_state(o, "w", "m", state, layout.bytes, error));
    OK(eden_set_tensor_steps(o, "w", 7, error));
    OK(eden_put_state(o, "w", "m", m.g, N, error));
    for (int k = 0; k < 3; k++) OK(eden_step(o, error));
    OK(eden_set_state(o, "w", "m", NULL, 0, error));
    OK(eden_step(o, error));
    note_floats(m.w, N);
    for (size_t i = 0; i < N; i++) note_words(state[i]);
    VOID(eden_optimizer_destroy(o));
}

/* ---- files ------------------------------------------------------------------------------------- */

static void see_floats(void *context, const void *piece, size_t bytes)
{
    memcpy(context, piece, bytes);
}

static void file_calls(model *m)
{
    static const uint64_t shape[] = { N };
    eden_file *file = NULL;
    eden_writer *writer = NULL;
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_load_report report = EDEN_LOAD_REPORT_INIT;
    OK(eden_save(m->o, at("model"), 0, error));
    OK(eden_load(m->o, at("model"), 0, error));
    OK(eden_load_as(m->o, at("model"), EDEN_WEIGHTS | EDEN_CONVERT, &report, error));
    OK(eden_load_as(m->o, at("model"), EDEN_PARTIAL, &report, error));
    note_floats(m->w, N);
    OK(eden_file_open(&file, at("model"), error));
    WORD(eden_file_count(file)); WORD(eden_file_find(file, "w"));
    TEXT(eden_file_key(file, 0)); TEXT(eden_file_value(file, "eden.grad_norm"));
    OK(eden_file_at(file, eden_file_find(file, "w"), &t, error));
    OK(eden_file_read(file, eden_file_find(file, "w"), m->v, sizeof m->v, error));
    note_floats(m->v, N);
    memset(m->v, 0, sizeof m->v);
    OK(eden_file_visit(file, eden_file_find(file, "w"), see_floats, m->v, error));
    note_floats(m->v, N);
    OK(eden_writer_create(&writer, error));
    OK(eden_writer_text(writer, "a", "0.1", error));
    OK(eden_writer_tensor(writer, "x", "F32", 1, shape, m->v, error));
    OK(eden_writer_from(writer, "y", t.dtype, t.ndim, t.shape, file, eden_file_find(file, "w"), 0, error));
    OK(eden_writer_keep(writer, 1, error));
    OK(eden_writer_write(writer, at("other"), error));
    VOID(eden_file_close(file));
    VOID(eden_writer_destroy(writer));
}

/* ---- all of it in every mode --------------------------------------------------------------------- */

static void every_call(void)
{
    results = fnv_start;
    rule_calls();
    other_core_calls();
    for (size_t r = 0; r < eden_rule_count(); r++)
        for (int how = 0; how < 3; how++) {
            model m;
            create_calls(&m, eden_rule_name(eden_rule_at(r)), how);
            setting_calls(&m);
            step_calls(&m, how);
            if (how != 1) look_calls(&m), file_calls(&m);
            VOID(eden_optimizer_destroy(m.o));
        }
    lookahead_calls();
    lent_calls();
}

static void test_every_mode(void **state)
{
    uint64_t first = 0;
    (void)state;
    for (size_t i = 0; i < FPU_MODES; i++) {
        mode = &fpu_modes[i];
        every_call();
        if (i == 0) first = results;
        if (results != first) fail_msg("%s: other results", mode->name);
    }
}

/* What the library exports has been called above. */
static void test_every_function(void **state)
{
    char name[64];
    size_t names = 0, missing = 0;
    FILE *in = fopen(EDEN_SOURCE_DIR "/tests/symbols.txt", "r");
    (void)state;
    assert_non_null(in);
    for (; fscanf(in, "%63s", name) == 1; names++) {
        size_t i = 0;
        while (i < called_count && strcmp(called[i], name) != 0) i++;
        if (i == called_count && ++missing) print_error("%s has not been called\n", name);
    }
    fclose(in);
    assert_true(names > 70);
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_mode, scratch_make, scratch_remove),
        cmocka_unit_test(test_every_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
