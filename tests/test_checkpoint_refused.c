/* test_checkpoint_refused.c - a file that does not fit is refused, and nothing changes. */
#include "tests/checkpoint_model.h"

#include <fcntl.h>
#include <fenv.h>

/* ---- refusing ------------------------------------------------------------------------ */

/* Load a file that must be refused: the sentence has this part, and the optimizer
 * and its weights stay what they were. */
static void refused_parts(model *m, const char *path, uint32_t parts, eden_status want,
                          const char *part)
{
    OK(eden_save(m->o, file("before"), 0, error));
    REFUSED(eden_load(m->o, path, parts, error), want, part);
    OK(eden_save(m->o, file("after"), 0, error));
    same_files(file("before"), file("after"), part);
}

static void refused(model *m, const char *path, eden_status want, const char *part)
{
    refused_parts(m, path, 0, want, part);
}

/* A trained model in file("a"), and one that was trained differently. */
static void start(model *saved, model *m, const eden_config *config)
{
    create(saved, "adamw", "sgd", config);
    create(m, "adamw", "sgd", config);
    OK(eden_schedule(saved->o, NULL, "lr", "plateau(0.5, 1)", error));
    train(saved, 2);
    OK(eden_set(m->o, NULL, "lr", 0.5, error));
    OK(eden_set_note(m->o, "mine", "here", error));
    OK(eden_schedule(m->o, NULL, "lr", "warmup(9) * plateau(0.25, 0)", error));
    train(m, 3);
    OK(eden_save(saved->o, file("a"), 0, error));
}

static void finish(model *saved, model *m)
{
    OK(eden_load(m->o, file("a"), 0, error)); /* the file itself fits */
    destroy(saved);
    destroy(m);
}

/* ---- metadata ---------------------------------------------------------------------------- */

typedef struct {
    const char *key, *value;
    eden_status want;
    const char *part;
} case_of_key;

static const case_of_key keys[] = {
    { "eden.format", "2", EDEN_E_MISMATCH, "a checkpoint of format '2', by Eden 0" },
    { "eden.format", NULL, EDEN_E_MISMATCH, "holds weights and no optimizer" },
    { "eden.parts", "all", EDEN_E_FORMAT, "eden.parts is 'all'" },
    { "eden.parts", NULL, EDEN_E_FORMAT, "eden.parts is 'missing'" },
    { "eden.steps", NULL, EDEN_E_FORMAT, "eden.steps is missing" },
    { "eden.steps", "-1", EDEN_E_FORMAT, "eden.steps = '-1'" },
    { "eden.steps", "1.5", EDEN_E_FORMAT, "eden.steps = '1.5'" },
    { "eden.steps", "1e3", EDEN_E_FORMAT, "eden.steps = '1e3'" },
    { "eden.steps", " 1", EDEN_E_FORMAT, "eden.steps = ' 1'" },
    { "eden.steps", "007", EDEN_E_FORMAT, "eden.steps = '007'" },
    { "eden.steps", "", EDEN_E_FORMAT, "eden.steps = ''" },
    { "eden.steps", "18446744073709551616", EDEN_E_FORMAT, "18446744073709551616" },
    { "eden.steps", "99999999999999999999", EDEN_E_FORMAT, "99999999999999999999" },
    { "eden.skipped", "x", EDEN_E_FORMAT, "eden.skipped" },
    { "eden.grad_norm", "-1", EDEN_E_FORMAT, "eden.grad_norm" },
    { "eden.grad_norm", NULL, EDEN_E_FORMAT, "eden.grad_norm is missing" },
    { "eden.grad_norm", "inf", EDEN_E_FORMAT, "eden.grad_norm" },
    { "eden.steps.layer.0/w", "2x", EDEN_E_FORMAT, "eden.steps.layer.0/w = '2x'" },
    { "eden.steps.mean", NULL, EDEN_E_FORMAT, "eden.group.mean = 'default' makes no sense" },
    { "eden.group.layer.0/w", NULL, EDEN_E_FORMAT, "eden.group.layer.0/w is missing" },
    { "eden.group.layer.0/w", "no decay", EDEN_E_MISMATCH,
      "tensor 'layer.0/w' is in group 'no decay' in the file and in 'default' here" },
    { "eden.split.100% \"k\"@x", "1", EDEN_E_MISMATCH, "has split = 1 in the file and 2 here" },
    { "eden.split.100% \"k\"@x", "z", EDEN_E_FORMAT, "= 'z'" },
    { "eden.accumulate", "2", EDEN_E_MISMATCH, "config.accumulate is 2 in the file and 1 here" },
    { "eden.maximize", "1", EDEN_E_MISMATCH, "config.maximize is 1 in the file and 0 here" },
    { "eden.nonfinite", "skip", EDEN_E_MISMATCH, "config.nonfinite is skip in the file and refuse" },
    { "eden.clip_value", "0.5", EDEN_E_MISMATCH, "config.clip_value is 0.5 in the file and 0 here" },
    { "eden.clip_norm", "1", EDEN_E_MISMATCH, "config.clip_norm is 1 in the file and 0 here" },
    { "eden.clip_norm", NULL, EDEN_E_FORMAT, "eden.clip_norm is missing" },
    { "eden.rule.default", "adam", EDEN_E_MISMATCH, "group 'default' uses adam in the file and adamw" },
    { "eden.rule.default", NULL, EDEN_E_FORMAT, "= 'default' makes no sense" },
    { "eden.rule.its \"own\".rule", "nesterov", EDEN_E_MISMATCH, "uses nesterov in the file and sgd" },
    { "eden.own_rule.no decay", "1", EDEN_E_MISMATCH, "'no decay' has a rule of its own in the file" },
    { "eden.own_rule.its \"own\".rule", "0", EDEN_E_FORMAT, "rule = '0' makes no sense" },
    { "eden.own_rule.its \"own\".rule", NULL, EDEN_E_MISMATCH, "inherits its rule in the file and has" },
    { "eden.rule.more", "adamw", EDEN_E_MISMATCH, "the file's group 'more' is not here" },
    { "eden.settings.default", NULL, EDEN_E_FORMAT, "eden.settings.default is missing" },
    { "eden.settings.default", "lr=nan", EDEN_E_VALUE, "group 'default': adamw: lr = 'nan' is not a" },
    { "eden.settings.default", "lr=-1", EDEN_E_VALUE, "lr = -1 is outside [0, infinity)" },
    { "eden.settings.default", "lr=1e39", EDEN_E_VALUE, "lr = 1e+39 is outside" },
    { "eden.settings.default", "beta1=1", EDEN_E_VALUE, "beta1 = 1 is outside [0, 1)" },
    { "eden.settings.default", "beta1=0.99999999", EDEN_E_VALUE, "rounded to float" },
    { "eden.settings.default", "amsgrad=always", EDEN_E_VALUE, "amsgrad = 'always'" },
    { "eden.settings.default", "lr=1,lr=2", EDEN_E_VALUE, "given twice" },
    { "eden.settings.default", "speed=1", EDEN_E_FORMAT, "no setting 'speed'" },
    { "eden.settings.default", "lr_max=1", EDEN_E_VALUE, "changed: adamw: lr_max = 1 has no eff" },
    { "eden.settings.no decay", "eps_uncorrected=1, amsgrad=corrected", EDEN_E_VALUE, "no decay" },
    { "eden.settings.default", "amsgrad=raw", EDEN_E_MISMATCH,
      "state 'top' of 'layer.0/w' is not in the file; state 'top' of '100% \"k\"@x' is not" },
    { "eden.schedule.lr.default", "cosine(0)", EDEN_E_VALUE, "group 'default'" },
    { "eden.schedule.lr.default", "faster(3)", EDEN_E_VALUE, "group 'default'" },
    { "eden.schedule.lr", "constant(1)", EDEN_E_FORMAT, "eden.schedule.lr" },
    { "eden.schedule.speed.default", "constant(1)", EDEN_E_FORMAT, "eden.schedule.speed.default" },
    { "eden.schedule.bias_correction.default", "constant(1)", EDEN_E_FORMAT, "bias_correction" },
    { "eden.plateau.lr.default", "1 2", EDEN_E_FORMAT, "" },
    { "eden.plateau.lr.default", NULL, EDEN_E_FORMAT, "eden.plateau.lr" },
    { "eden.custom.lr.default", "1", EDEN_E_FORMAT, "eden.custom.lr.default = '1'" },
    { "eden.custom.lr.no decay", "1", EDEN_E_MISMATCH, "the schedule of lr in group 'no decay' is a func" },
    { "eden.note.two\nlines", "x", EDEN_E_FORMAT, "a note's key" },
};

static void test_metadata(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m, NULL);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        refused(&m, changed(file("a"), (change){ .key = keys[i].key, .value = keys[i].value }),
                keys[i].want, keys[i].part);
    refused_parts(&m, changed(file("a"), (change){ .key = "eden.steps.more", .value = "0" }),
                  EDEN_OPTIM, EDEN_E_MISMATCH, "the file's tensor 'more' is not here");
    const change group = { .key = "eden.group.mean" };
    refused_parts(&m, changed(changed(file("a"), group), (change){ .key = "eden.steps.mean" }), EDEN_OPTIM,
                  EDEN_E_MISMATCH, "tensor 'mean' is not in the file");
    const change one = { .key = "eden.settings.default", .value = "beta1=0.99999999" };
    const char *path = changed(file("a"), one);
    fesetround(FE_DOWNWARD); /* 1 to the nearest float, whatever the caller's rounding says */
    const eden_status status = eden_load(m.o, path, 0, NULL);
    fesetround(FE_TONEAREST);
    assert_int_equal(status, EDEN_E_VALUE);
    finish(&saved, &m);
}

/* ---- entries ------------------------------------------------------------------------------- */

static const struct {
    change what;
    const char *part;
} entries[] = {
    { { .drop = "layer.0/w" }, "tensor 'layer.0/w' is not in the file" },
    { { .drop = "empty" }, "tensor 'empty' is not in the file" },
    { { .entry = "layer.0/w", .flat = 1 }, "'layer.0/w' is [30] in the file and [6, 5] here" },
    { { .entry = "layer.0/w", .dtype = "I32" }, "'layer.0/w' is I32 in the file and F32 here" },
    { { .entry = "layer.0/w@m", .dtype = "U32" }, "state 'm' of 'layer.0/w' is U32 in the file" },
    { { .entry = "100% \"k\"@x@v", .flat = 1 }, "state 'v' of '100% \"k\"@x' is [24] in the file and [2, 3, 4]" },
    { { .drop = "layer.0/w@v" }, "state 'v' of 'layer.0/w' is not in the file" },
    { { .entry = "layer.0/w@top" }, "state 'top' of 'layer.0/w' is in the file and not used here" },
    { { .entry = "mean@m" }, "state 'm' of 'mean' is in the file and not used here" },
    { { .entry = "mean@what" }, "state 'what' of 'mean' is in the file and not used here" },
    { { .entry = "layer.0/w@v@scale" }, "state 'v@scale' of 'layer.0/w' is in the file and not used here" },
    { { .entry = "@scale" }, "the file's entry '@scale' belongs to no tensor" },
    { { .entry = "layer.0/w@scale" }, "the file's entry 'layer.0/w@scale' belongs to no tensor" },
    { { .entry = "nobody@m" }, "the file's entry 'nobody@m' belongs to no tensor" },
    { { .entry = "extra" }, "the file's entry 'extra' belongs to no tensor" },
    { { .entry = "extra", .key = "eden.steps.extra", .value = "0" }, "the file's tensor 'extra' is not here" },
    { { .entry = "layer.0/w", .name = "layer.0/v" }, "the file's entry 'layer.0/v' belongs to no tensor" },
    { { .drop = "mean", .key = "eden.clip_norm", .value = "2" },
      "config.clip_norm is 2 in the file and 0 here; tensor 'mean' is not in the file" },
};

static void test_entries(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m, NULL);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        refused(&m, changed(file("a"), entries[i].what), EDEN_E_MISMATCH, entries[i].part);
    refused_parts(&m, changed(file("a"), (change){ .entry = "layer.0/w", .flat = 1 }), EDEN_OPTIM,
                  EDEN_E_MISMATCH, "[30] in the file"); /* the wrong model, weights wanted or not */
    refused_parts(&m, changed(file("a"), (change){ .entry = "stray" }), EDEN_WEIGHTS, EDEN_E_MISMATCH,
                  "'stray' belongs to no tensor");
    finish(&saved, &m);
}

/* Another rule is one difference, whatever inherits it and whatever state it has. */
static void test_other_rule(void **state)
{
    static const char *const rules[] = { "adam", "momentum", "nesterov", "sgd" };
    char part[200];
    model saved, m;
    (void)state;
    for (int i = 0; i < 4; i++) {
        const char *there = rules[i], *here = rules[(i + 1) % 4];
        eden_error e = { 0, "" };
        create(&saved, there, "sgd", NULL);
        create(&m, here, "sgd", NULL);
        OK(eden_save(saved.o, file("a"), 0, error));
        snprintf(part, sizeof part, "fit: group 'default' uses %.20s in the file and %.20s here", there,
                 here);
        refused(&m, file("a"), EDEN_E_MISMATCH, part);
        assert_int_equal(eden_load(m.o, file("a"), 0, &e), EDEN_E_MISMATCH);
        assert_null(strchr(e.text, ';'));
        destroy(&saved);
        destroy(&m);
    }
}

/* Many differences are listed as far as the sentence goes. */
static void test_many(void **state)
{
    static float w[50], g[50];
    eden_error e = { 0, "" };
    model saved, m;
    (void)state;
    start(&saved, &m, NULL);
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "more.%d", i);
        eden_tensor t = eden_vector(&w[i], &g[i], 1);
        OK(eden_add_tensor(m.o, name, &t, NULL, error));
    }
    refused(&m, file("a"), EDEN_E_MISMATCH, "tensor 'more.0' is not in the file; tensor 'more.1' is");
    assert_int_equal(eden_load(m.o, file("a"), 0, &e), EDEN_E_MISMATCH);
    assert_true(strlen(e.text) > 300 && strlen(e.text) < sizeof e.text - 1);
    /* 50 tensors are listed or counted */
    unsigned listed = 0, more = 0;
    for (const char *at = e.text; (at = strstr(at, "is not in the file")); at++) listed++;
    const char *tail = strstr(e.text, "; and ");
    assert_non_null(tail);
    assert_int_equal(sscanf(tail, "; and %u more", &more), 1);
    assert_int_equal(listed + more, 50);
    destroy(&saved);
    destroy(&m);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void overwrite(const char *path, size_t at, unsigned char byte)
{
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Any single wrong bit, and any cut, is noticed, whatever parts the file has. */
static void damage(uint32_t parts)
{
    model saved, m;
    size_t size;
    start(&saved, &m, NULL);
    OK(eden_save(saved.o, file("a"), parts, error));
    unsigned char *data = read_file(file("a"), &size);
    OK(eden_save(m.o, file("before"), 0, error));
    const model live = m;
    for (size_t bit = 0; bit < size * 8; bit++) {
        overwrite(file("a"), bit / 8, (unsigned char)(data[bit / 8] ^ 1u << bit % 8));
        if (eden_load(m.o, file("a"), parts, NULL) == EDEN_OK)
            fail_msg("bit %zu of byte %zu went unnoticed", bit % 8, bit / 8);
        overwrite(file("a"), bit / 8, data[bit / 8]);
        if (memcmp(&m, &live, sizeof m)) fail_msg("the weights changed");
    }
    print_message("%zu bits\n", size * 8);
    for (size_t cut = size; cut-- > 0;) {
        assert_int_equal(truncate(file("a"), (off_t)cut), 0);
        assert_int_not_equal(eden_load(m.o, file("a"), parts, NULL), EDEN_OK);
    }
    assert_memory_equal(&m, &live, sizeof m);
    OK(eden_save(m.o, file("after"), 0, error));
    same_files(file("before"), file("after"), "damage");
    free(data);
    destroy(&saved);
    destroy(&m);
}

static void test_damage(void **state)
{
    (void)state;
    damage(EDEN_WEIGHTS | EDEN_OPTIM);
    damage(EDEN_WEIGHTS);
    damage(EDEN_OPTIM);
}

/* ---- the moment, and arguments ------------------------------------------------------------------ */

static void test_moment(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    model saved, m;
    (void)state;
    c.accumulate = 3;
    start(&saved, &m, &c);
    OK(train_once(&m, error));
    OK(train_once(&m, error));
    REFUSED(eden_save(m.o, file("b"), 0, error), EDEN_E_ORDER, "2 of 3 micro-batches are pending");
    REFUSED(eden_save(m.o, file("b"), EDEN_WEIGHTS, error), EDEN_E_ORDER, "pending");
    assert_int_equal(access(file("b"), F_OK), -1);
    OK(eden_load(m.o, file("a"), 0, error)); /* which forgets the micro-batches */
    OK(eden_save(m.o, file("b"), 0, error));
    same_files(file("a"), file("b"), "pending");
    destroy(&m);

    create(&m, "sgd", "sgd", &c);
    OK(eden_set_text(m.o, NULL, "momentum=0.5, lookahead=1", error));
    OK(eden_lookahead_begin(m.o, error));
    REFUSED(eden_save(m.o, file("c"), 0, error), EDEN_E_ORDER, "eden_save: the weights are at their look");
    REFUSED(eden_load(m.o, file("a"), 0, error), EDEN_E_ORDER, "eden_load: the weights are at their look");
    assert_int_equal(access(file("c"), F_OK), -1);
    destroy(&m);
    destroy(&saved);
}

static void test_arguments(void **state)
{
    model saved, m;
    (void)state;
    start(&saved, &m, NULL);
    REFUSED(eden_save(NULL, file("b"), 0, error), EDEN_E_ARGUMENT, "eden_save: optimizer is NULL");
    REFUSED(eden_load(NULL, file("b"), 0, error), EDEN_E_ARGUMENT, "eden_load: optimizer is NULL");
    REFUSED(eden_save(m.o, NULL, 0, error), EDEN_E_ARGUMENT, "eden_save: path is NULL");
    REFUSED(eden_load(m.o, NULL, 0, error), EDEN_E_ARGUMENT, "eden_load: path is NULL");
    REFUSED(eden_save(m.o, file("b"), 4, error), EDEN_E_ARGUMENT, "parts = 4");
    REFUSED(eden_load(m.o, file("a"), 9, error), EDEN_E_ARGUMENT, "are for eden_load_as()");
    REFUSED(eden_load(m.o, file("a"), 17, error), EDEN_E_ARGUMENT, "parts = 17");
    REFUSED(eden_load(m.o, file("a"), EDEN_PARTIAL | 16, error), EDEN_E_ARGUMENT, "parts = ");
    REFUSED(eden_save(m.o, file("no/folder"), 0, error), EDEN_E_IO, "no/folder");
    assert_int_equal(eden_load(m.o, file("b"), 0, NULL), EDEN_E_IO);
    refused(&m, file("b"), EDEN_E_IO, "/b");
    refused(&m, folder, EDEN_E_IO, "folder");
    OK(eden_set(m.o, NULL, "lr_max", 1, error)); /* has no effect, so there is nothing to save */
    REFUSED(eden_save(m.o, file("b"), 0, error), EDEN_E_VALUE, "lr_max = 1 has no effect");
    assert_int_equal(access(file("b"), F_OK), -1);
    OK(eden_save(m.o, file("b"), EDEN_WEIGHTS, error));
    finish(&saved, &m);
}

/* Counts are exact up to the last, and then the step says so. */
static void test_last_count(void **state)
{
    model saved, m;
    uint64_t steps;
    (void)state;
    start(&saved, &m, NULL);
    change c = { .key = "eden.steps", .value = "18446744073709551615" };
    OK(eden_load(m.o, changed(file("a"), c), 0, error));
    assert_true(eden_steps(m.o) == UINT64_MAX);
    REFUSED(eden_step(m.o, error), EDEN_E_OVERFLOW, "2^64 - 1");
    c = (change){ .key = "eden.steps", .value = "18446744073709551614" };
    const char *last = changed(file("a"), c);
    c = (change){ .key = "eden.steps.layer.0/w", .value = "18446744073709551614" };
    last = changed(last, c);
    OK(eden_load(m.o, last, 0, error));
    OK(eden_step(m.o, error));
    OK(eden_tensor_steps(m.o, "layer.0/w", &steps, error));
    assert_true(steps == UINT64_MAX);
    REFUSED(eden_step(m.o, error), EDEN_E_OVERFLOW, "2^64 - 1");
    OK(eden_save(m.o, file("b"), 0, error));
    OK(eden_load(saved.o, file("b"), 0, error));
    REFUSED(eden_step(saved.o, error), EDEN_E_OVERFLOW, "2^64 - 1");
    c = (change){ .key = "eden.skipped", .value = "18446744073709551615" };
    OK(eden_load(m.o, changed(file("a"), c), 0, error));
    OK(eden_step(m.o, error)); /* this config skips none */
    assert_true(eden_skipped(m.o) == UINT64_MAX);
    finish(&saved, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_metadata), IN_FOLDER(test_entries), IN_FOLDER(test_other_rule),
        IN_FOLDER(test_many), IN_FOLDER(test_damage),
        IN_FOLDER(test_moment), IN_FOLDER(test_arguments),
        IN_FOLDER(test_last_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
