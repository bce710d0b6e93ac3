/* test_train_average.c - a run that is measured by averages of its weights. */
#include "lab/train.h"

#include "train_task.h"

static void test_read(void **state)
{
    static const struct { const char *text; uint32_t average; double decay; uint64_t start, every; } good[] = {
        { "ema:0.999", EDEN_EMA, 0.999, 1, 1 },      { "ema:.5:7", EDEN_EMA, 0.5, 7, 1 },
        { "ema:1e-3:7:20", EDEN_EMA, 0.001, 7, 20 }, { "swa", EDEN_SWA, 0, 1, 1 },
        { "swa:900", EDEN_SWA, 0, 900, 1 },          { "swa:1:10", EDEN_SWA, 0, 1, 10 },
    };
    static const struct { const char *text, *part; } bad[] = {
        { "", "no average is called so" },       { "sw", "no average is called so" },
        { "swap", "no average is called so" },   { "EMA:0.5", "no average is called so" },
        { "ema", "the decay is no number" },     { "ema:", "the decay is no number" },
        { "ema:0", "the decay is no number" },   { "ema:1", "the decay is no number" },
        { "ema:-0.5", "the decay is no number" }, { "ema:nan", "the decay is no number" },
        { "ema:0.5x", "the decay is no number" }, { "ema:0,5", "the decay is no number" },
        { "ema:0.50000000000000000000000000000000000", "the decay is no number" },
        { "swa:", "the first step is no count" }, { "swa:0", "the first step is no count" },
        { "swa:-1", "the first step is no count" }, { "swa:1.5", "the first step is no count" },
        { "swa:9999999999999999", "the first step is no count" },
        { "swa:1:0", "the steps from one to the next" }, { "swa:1:", "the steps from one to the next" },
        { "swa:1:2:3", "there is too much of it" }, { "ema:0.5:1:2:", "there is too much of it" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        eden_config c = EDEN_CONFIG_INIT;
        OK(lab_average_read(good[i].text, &c, error));
        assert_true(c.average == good[i].average && c.average_decay == good[i].decay);
        assert_true(c.average_start == good[i].start && c.average_every == good[i].every);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eden_config c = EDEN_CONFIG_INIT;
        eden_error e = { 0, "" };
        assert_int_equal(lab_average_read(bad[i].text, &c, &e), EDEN_E_VALUE);
        if (!strstr(e.text, bad[i].part)) fail_msg("'%s': %s", bad[i].text, e.text);
    }
}

static void test_refused(void **state)
{
    const lab_data data = task(1);
    lab_config config = config_of("sgd", NULL);
    lab_run *run = NULL;
    eden_error e = { 0, "" };
    (void)state;
    config.average = "swa:22";
    assert_int_equal(lab_run_create(&run, &config, &data, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "average 'swa:22' begins after the run's 21 steps"));
    config.average = "mean";
    assert_int_equal(lab_run_create(&run, &config, &data, &e), EDEN_E_VALUE);
    assert_null(run);
}

/* Training is that of a run without; only what is measured differs, once there is an
 * average that is not the last weights. */
static void test_measured(void **state)
{
    static const char *const averages[] = { "swa", "swa:21", "ema:0.5:8", "swa:8:100" };
    const lab_data data = task(1);
    lab_config config = config_of("adam", "lr=0.05");
    (void)state;
    for (size_t i = 0; i < sizeof averages / sizeof *averages; i++) {
        double plain[21], losses[21];
        config.average = NULL;
        lab_run *a = create(&config, &data);
        config.average = averages[i];
        lab_run *b = create(&config, &data);
        for (int epoch = 1; epoch <= 3; epoch++) {
            steps(a, 7, plain), steps(b, 7, losses);
            const double x = lab_run_progress(a)->test_loss, y = lab_run_progress(b)->test_loss;
            const int averaged = i == 0 || (i > 1 && epoch > 1);
            assert_true((x != y) == averaged);
        }
        assert_memory_equal(plain, losses, sizeof plain);
        OK(eden_save(lab_run_optimizer(a), first, EDEN_WEIGHTS, error));
        OK(eden_save(lab_run_optimizer(b), second, EDEN_WEIGHTS, error));
        assert_true(same_files());
        lab_run_destroy(a), lab_run_destroy(b);
    }
}

static void test_resume(void **state)
{
    const lab_data data = task(1);
    lab_config config = config_of("adamw", NULL);
    double loss[2], accuracy;
    (void)state;
    config.average = "ema:0.9:5:2";
    lab_run *run = create(&config, &data);
    steps(run, 10, NULL);
    OK(lab_run_save(run, first, error));
    OK(lab_run_evaluate(run, &loss[0], &accuracy, error));
    steps(run, 11, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    run = create(&config, &data);
    OK(lab_run_load(run, first, error));
    OK(lab_run_evaluate(run, &loss[1], &accuracy, error));
    assert_true(loss[0] == loss[1]);
    steps(run, 11, NULL);
    OK(lab_run_save(run, first, error));
    assert_true(same_files());
    lab_run_destroy(run);
    config.average = "ema:0.9:5";
    run = create(&config, &data);
    eden_error e = { 0, "" };
    assert_int_equal(lab_run_load(run, first, &e), EDEN_E_MISMATCH);
    assert_non_null(strstr(e.text, "with average ema:0.9:5:2 instead of ema:0.9:5"));
    lab_run_destroy(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read), cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
