/* test_train_notes.c - what a run refuses, what its checkpoint says, the rates. */
#include "lab/train.h"

#include <eden/safetensors.h>

#include "train_task.h"

/* ---- configs that make no sense ----------------------------------------------------------- */

static void refuse(const lab_config *config, const lab_data *data, eden_status want,
                   const char *part)
{
    eden_error e = { 0, "" };
    lab_run *run = (lab_run *)&e;
    refused(lab_run_create(&run, config, data, &e), want, &e, part);
    assert_null(run);
    assert_int_equal(lab_run_create(&run, config, data, NULL), want);
}

static void test_configs(void **state)
{
    lab_data data = task(1);
    const lab_config good = config_of("adam", NULL);
    lab_config bad = good;
    (void)state;
    bad.batch = 0;
    refuse(&bad, &data, EDEN_E_VALUE, "batch = 0");
    bad = good, bad.epochs = 0;
    refuse(&bad, &data, EDEN_E_VALUE, "epochs = 0");
    bad = good, bad.epochs = UINT64_MAX / 2;
    refuse(&bad, &data, EDEN_E_VALUE, "epochs = 9223372036854775807");
    bad = good, bad.accumulate = 8;
    refuse(&bad, &data, EDEN_E_VALUE, "accumulate = 8 is more than the 7 batches");
    bad = good, bad.optimizer = NULL;
    refuse(&bad, &data, EDEN_E_ARGUMENT, "needs an optimizer");
    bad = good, bad.optimizer = "adan";
    refuse(&bad, &data, EDEN_E_NAME, "adan");
    bad = good, bad.settings = "beta9=1";
    refuse(&bad, &data, EDEN_E_NAME, "beta9");
    bad = good, bad.settings = "beta1=1";
    refuse(&bad, &data, EDEN_E_VALUE, "beta1 = 1 is outside");
    bad = good, bad.schedule = "cosin(10)";
    refuse(&bad, &data, EDEN_E_VALUE, "cosin");
    bad = good, bad.model.kind = "mlpp";
    refuse(&bad, &data, EDEN_E_NAME, "mlpp");
    bad = good, bad.clip_norm = -1;
    refuse(&bad, &data, EDEN_E_VALUE, "clip_norm");
    data.test.count = 0;
    refuse(&good, &data, EDEN_E_SHAPE, "toy has 50 training and 0 test examples");
}

/* ---- another run's checkpoint ------------------------------------------------------------- */

static void refuse_load(const lab_config *config, const lab_data *data, const char *part)
{
    eden_error e = { 0, "" };
    double before, after, accuracy;
    lab_run *run = create(config, data);
    steps(run, 2, NULL);
    OK(lab_run_evaluate(run, &before, &accuracy, error));
    refused(lab_run_load(run, first, &e), EDEN_E_MISMATCH, &e, part);
    OK(lab_run_evaluate(run, &after, &accuracy, error));
    assert_true(before == after && lab_run_progress(run)->step == 2);
    steps(run, 1, NULL);
    lab_run_destroy(run);
}

static void test_other_runs(void **state)
{
    lab_data data = task(1);
    lab_config config = config_of("adamw", "lr=0.01"), other = config;
    (void)state;
    lab_run *run = create(&config, &data);
    steps(run, 9, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    other.batch = 10;
    refuse_load(&other, &data, "with batch 8 instead of 10");
    other = config, other.seed = 6;
    refuse_load(&other, &data, "with seed 5 instead of 6");
    other = config, other.model.seed = 6;
    refuse_load(&other, &data, "with model seed 9 instead of 6");
    other = config, other.optimizer = "adam";
    refuse_load(&other, &data, "with optimizer adamw instead of adam");
    other = config, other.settings = NULL;
    refuse_load(&other, &data, "with settings lr=0.01 instead of none");
    other = config, other.model.widths = "8";
    refuse_load(&other, &data, "with widths 7 instead of 8");
    other = config, other.model.kind = "logistic", other.model.widths = NULL;
    refuse_load(&other, &data, "with model mlp instead of logistic");
    other = config, other.model.dropout = 0.25;
    refuse_load(&other, &data, "with dropout 0 instead of 0.25");
    other = config, other.clip_norm = 0.5;
    refuse_load(&other, &data, "with clip_norm 0 instead of 0.5");
    other = config, other.schedule = "cosine(5)";
    refuse_load(&other, &data, "with schedule none instead of cosine(5)");
    other = config, other.epochs = 1;
    refuse_load(&other, &data, "has taken 9 steps, more than the 7 of this run");
    data.hash++;
    refuse_load(&config, &data, "the contents of toy have changed");
    data.hash--;
    snprintf(data.name, sizeof data.name, "tay");
    refuse_load(&config, &data, "with data toy instead of tay");
}

/* ---- files that are no checkpoint ----------------------------------------------------------- */

static void refuse_file(eden_status want, const char *part)
{
    eden_error e = { 0, "" };
    lab_saved *saved = (lab_saved *)&e;
    refused(lab_saved_open(&saved, second, &e), want, &e, part);
    assert_null(saved);
}

/* The checkpoint `first` with one note changed, or without it (NULL), in `second`. */
static void doctor(const char *key, const char *value)
{
    eden_file *file;
    eden_writer *writer;
    const char *k;
    float weights[4096];
    OK(eden_file_open(&file, first, error));
    OK(eden_writer_create(&writer, error));
    for (size_t i = 0; (k = eden_file_key(file, i)) != NULL; i++) {
        const char *text = strcmp(k, key) ? eden_file_value(file, k) : value;
        if (text) OK(eden_writer_text(writer, k, text, error));
    }
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    OK(eden_file_at(file, 0, &t, error));
    assert_true(t.bytes <= sizeof weights);
    OK(eden_file_read(file, 0, weights, t.bytes, error));
    OK(eden_writer_tensor(writer, t.name, t.dtype, t.ndim, t.shape, weights, error));
    OK(eden_writer_write(writer, second, error));
    eden_writer_destroy(writer);
    eden_file_close(file);
}

static void test_bad_files(void **state)
{
    static const char *const broken[][2] = {
        { "lab.batch", "0" },      { "lab.batch", "8x" },     { "lab.batch", NULL },
        { "lab.step", "-1" },      { "lab.step", NULL },      { "lab.loss_sum", "1.5" },
        { "lab.test_loss", "1p" }, { "lab.test_loss", "p1" }, { "lab.model", NULL },
        { "lab.hash", NULL },      { "lab.accumulate", "4294967296" },
        { "lab.warmup", "99999999999999999999" },             { "lab.loss_rows", "" },
    };
    char key[64];
    size_t size;
    const lab_data data = task(1);
    const lab_config config = config_of("adam", NULL);
    (void)state;
    lab_run *run = create(&config, &data);
    steps(run, 3, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        snprintf(key, sizeof key, "eden.note.%s", broken[i][0]);
        doctor(key, broken[i][1]);
        refuse_file(EDEN_E_FORMAT, "makes no sense");
    }
    doctor("eden.note.lab.format", NULL);
    refuse_file(EDEN_E_MISMATCH, "not the checkpoint of a training run");
    doctor("eden.note.lab.format", "2");
    refuse_file(EDEN_E_MISMATCH, "another version");
    char *bytes = contents(first, &size);
    FILE *f = fopen(second, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size / 2, f), size / 2);
    fclose(f);
    free(bytes);
    refuse_file(EDEN_E_FORMAT, second);
    unlink(second);
    refuse_file(EDEN_E_IO, second);
}

static void test_saved_config(void **state)
{
    lab_saved *saved;
    const lab_data data = task(1);
    lab_config config = config_of("adamw", "lr=0.01,weight_decay=0.1");
    (void)state;
    config.no_decay = "1";
    config.schedule = "cosine(10)";
    config.warmup = 2;
    config.clip_norm = 0.1;
    config.accumulate = 3;
    config.model.norm = "layer";
    config.model.dropout = 0.3;
    lab_run *run = create(&config, &data);
    steps(run, 4, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    OK(lab_saved_open(&saved, first, error));
    const lab_config *c = lab_saved_config(saved);
    assert_string_equal(lab_saved_data(saved), "toy");
    assert_int_equal(lab_saved_step(saved), 4);
    assert_string_equal(c->optimizer, config.optimizer);
    assert_string_equal(c->settings, config.settings);
    assert_string_equal(c->no_decay, "1");
    assert_string_equal(c->schedule, config.schedule);
    assert_string_equal(c->model.kind, "mlp");
    assert_string_equal(c->model.widths, "7");
    assert_string_equal(c->model.norm, "layer");
    assert_true(c->clip_norm == 0.1 && c->model.dropout == 0.3 && c->accumulate == 3);
    assert_true(c->warmup == 2 && c->epochs == 3 && c->batch == 8 && c->seed == 5);
    assert_true(c->model.seed == 9);
    lab_saved_close(saved);
}

/* ---- a run that diverges ---------------------------------------------------------------------- */

static void test_divergence(void **state)
{
    int done = 0;
    eden_error e = { 0, "" };
    eden_status status = EDEN_OK;
    const lab_data data = task(0);
    const lab_config config = config_of("sgd", "lr=1e18");
    (void)state;
    lab_run *run = create(&config, &data);
    const lab_progress *p = lab_run_progress(run);
    OK(lab_run_save(run, first, error));
    while (!status && !done) status = lab_run_step(run, &done, &e);
    refused(status, EDEN_E_GRADIENT, &e, "training diverged at step ");
    assert_non_null(strstr(e.text, "lower the learning rate (lr is 1e+18)"));
    assert_true(p->step < p->steps);
    refused(lab_run_save(run, first, &e), EDEN_E_ORDER, &e, "cannot be saved");
    refused(lab_run_step(run, &done, &e), EDEN_E_ORDER, &e, "load a checkpoint");
    OK(lab_run_load(run, first, error));
    assert_int_equal(p->step, 0);
    OK(lab_run_step(run, &done, error));
    lab_run_destroy(run);
    const lab_config slow = config_of("sgd", "lr=0.01");
    run = create(&slow, &data);
    targets[3] = INFINITY;
    for (status = EDEN_OK; !status && !done;) status = lab_run_step(run, &done, &e);
    targets[3] = (float)(3 % CLASSES) - 1;
    refused(status, EDEN_E_GRADIENT, &e, ": the loss is infinite; lower the learning rate");
    lab_run_destroy(run);
}

/* ---- numbers as text, rates --------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    static const double values[] = { 0, 1, -1, 0.75, 0.1, 1e300, 5e-324, 2.2250738585072014e-308,
                                     1.7976931348623157e308, 1.0 / 3, -1e-310, 9007199254740993.0 };
    static const char *const bad[] = { "", "1", "p1", "1p", "1.5p0", "1p1x", " 1p1", "+1p1",
                                       "0x1p1", "nan1", "12345678901234567p1", "1p99999", "-" };
    char text[LAB_NUMBER_ROOM];
    double back;
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        lab_write_number(values[i], text);
        assert_true(lab_read_number(text, &back) && back == values[i]);
    }
    lab_write_number(0.75, text);
    assert_string_equal(text, "3p-2");
    lab_write_number(-0.0, text);
    assert_true(lab_read_number(text, &back) && back == 0 && signbit(back));
    lab_write_number(NAN, text);
    assert_true(lab_read_number(text, &back) && isnan(back));
    lab_write_number(-INFINITY, text);
    assert_true(lab_read_number(text, &back) && isinf(back) && back < 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(lab_read_number(bad[i], &back), 0);
}

static void has_rate(const char *name)
{
    static const char *const rows[][2] = { { "digits", "logistic" }, { "digits", "mlp" },
                                           { "digits", "cnn" },      { "mnist", "logistic" },
                                           { "mnist", "mlp" },       { "mnist", "cnn" },
                                           { "csv", "logistic" },    { "csv", "mlp" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *source = NULL;
        if (!(lab_rate(rows[i][0], rows[i][1], name, &source) > 0) || !source || !*source)
            fail_msg("no rate for %s, %s, %s", rows[i][0], rows[i][1], name);
    }
}

static void test_rates(void **state)
{
    const char *source = NULL;
    const eden_preset *preset;
    (void)state;
    for (size_t i = 0; i < eden_rule_count(); i++) {
        has_rate(eden_rule_name(eden_rule_at(i)));
        for (size_t k = 0; (preset = eden_rule_preset(eden_rule_at(i), k)) != NULL; k++)
            has_rate(preset->name);
    }
    assert_true(lab_rate("digits", "mlp", "nobody", &source) == 0);
    assert_true(lab_rate("nothing", "mlp", "adam", &source) == 0);
    assert_null(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configs),      cmocka_unit_test(test_other_runs),
        cmocka_unit_test(test_bad_files),    cmocka_unit_test(test_saved_config),
        cmocka_unit_test(test_divergence),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
