/* test_train.c - the training loop: order of the data, schedules, resuming. */
#include "lab/train.h"

#include "train_task.h"

/* ---- order and batches ------------------------------------------------------------------ */

static void test_order(void **state)
{
    const lab_data data = task(1);
    lab_config config = config_of("sgd", NULL);
    uint32_t seen[3][ROWS];
    (void)state;
    lab_run *run = create(&config, &data);
    for (int epoch = 0; epoch < 3; epoch++) {
        unsigned char there[ROWS] = { 0 };
        steps(run, 7, NULL);
        memcpy(seen[epoch], run->order, sizeof seen[epoch]);
        for (int i = 0; i < ROWS; i++) there[run->order[i]] = 1;
        for (int i = 0; i < ROWS; i++) assert_true(there[i]);
    }
    assert_true(memcmp(seen[0], seen[1], sizeof seen[0]) != 0);
    assert_true(memcmp(seen[1], seen[2], sizeof seen[0]) != 0);
    lab_run_destroy(run);
    run = create(&config, &data);
    steps(run, 8, NULL);
    assert_memory_equal(seen[1], run->order, sizeof seen[1]);
    lab_run_destroy(run);
    config.seed = 6;
    run = create(&config, &data);
    steps(run, 1, NULL);
    assert_true(memcmp(seen[0], run->order, sizeof seen[0]) != 0);
    lab_run_destroy(run);
}

static void test_epochs(void **state)
{
    int done = 7;
    const lab_data data = task(1);
    const lab_config config = config_of("adam", "lr=0.02");
    (void)state;
    lab_run *run = create(&config, &data);
    const lab_progress *p = lab_run_progress(run);
    assert_true(p->steps == 21 && isnan(p->test_loss));
    for (uint64_t i = 1; i <= 21; i++) {
        steps(run, 1, NULL);
        assert_true(p->step == i && p->epoch == (i - 1) / 7 + 1);
        assert_int_equal(p->evaluated, i % 7 == 0);
        assert_int_equal(run->loss_rows, i % 7 ? i % 7 * 8 : ROWS);
    }
    assert_true(p->test_loss < 1.0 && p->test_accuracy > 0.6 && p->train_loss < 1.1);
    assert_true(p->state_bytes_per_weight == 8);
    assert_true(p->seconds >= p->step_seconds && p->step_seconds >= p->optimizer_seconds);
    double loss, accuracy;
    OK(lab_run_evaluate(run, &loss, &accuracy, error));
    assert_true(loss == p->test_loss && accuracy == p->test_accuracy);
    OK(lab_run_step(run, &done, error));
    assert_true(done == 1 && p->step == 21);
    lab_run_destroy(run);
}

static void test_regression(void **state)
{
    const lab_data data = task(0);
    const lab_config config = config_of("adam", "lr=0.02");
    double losses[21];
    (void)state;
    lab_run *run = create(&config, &data);
    steps(run, 100, losses);
    const lab_progress *p = lab_run_progress(run);
    assert_true(isnan(p->accuracy) && isnan(p->test_accuracy));
    assert_true(p->test_loss < losses[0]);
    lab_run_destroy(run);
}

/* Three micro-batches of 8 make a step of 24, and 7 batches make 3 steps. */
static void test_accumulate(void **state)
{
    double small[9], large[9];
    const lab_data data = task(1);
    lab_config config = config_of("sgd", "lr=0.1");
    (void)state;
    config.batch = 24;
    lab_run *run = create(&config, &data);
    steps(run, 2, large);
    lab_run_destroy(run);
    config.batch = 8;
    config.accumulate = 3;
    run = create(&config, &data);
    assert_int_equal(lab_run_progress(run)->steps, 9);
    steps(run, 100, small);
    assert_int_equal(run->loss_rows, ROWS);
    assert_int_equal(eden_steps(lab_run_optimizer(run)), 9);
    for (int i = 0; i < 2; i++) assert_true(fabs(small[i] - large[i]) < 1e-5);
    lab_run_destroy(run);
}

static void test_rate(void **state)
{
    double value;
    const lab_data data = task(1);
    lab_config config = config_of("sgd", "lr=0.25");
    (void)state;
    config.schedule = "cosine(20, end=0.5)";
    config.warmup = 4;
    lab_run *run = create(&config, &data);
    for (uint64_t i = 1; i <= 6; i++) {
        steps(run, 1, NULL);
        OK(eden_schedule_value("warmup(4) * cosine(20, end=0.5)", i, &value, error));
        assert_true(lab_run_progress(run)->lr == 0.25 * value);
    }
    lab_run_destroy(run);
    config.schedule = NULL;
    run = create(&config, &data);
    steps(run, 1, NULL);
    assert_true(lab_run_progress(run)->lr == 0.0625);
    lab_run_destroy(run);
    config.warmup = 0;
    config.schedule = "plateau(factor=0.5, patience=1, threshold=0.9)";
    run = create(&config, &data);
    steps(run, 21, NULL);
    OK(eden_get_at(lab_run_optimizer(run), NULL, "lr", 22, &value, error));
    assert_true(value < 0.25);
    lab_run_destroy(run);
}

static void test_groups_and_clipping(void **state)
{
    double value;
    const lab_data data = task(1);
    lab_config config = config_of("adamw", "weight_decay=0.3");
    (void)state;
    config.no_decay = "1";
    config.clip_norm = 1e-3;
    lab_run *run = create(&config, &data);
    steps(run, 1, NULL);
    OK(eden_get(lab_run_optimizer(run), "no_decay", "weight_decay", &value, error));
    assert_true(value == 0);
    OK(eden_get(lab_run_optimizer(run), NULL, "weight_decay", &value, error));
    assert_true(value == 0.3);
    assert_true(lab_run_progress(run)->grad_norm > 1e-3);
    steps(run, 2, NULL);
    const double apart = lab_run_progress(run)->loss;
    lab_run_destroy(run);
    config.no_decay = NULL;
    run = create(&config, &data);
    steps(run, 3, NULL);
    assert_true(lab_run_progress(run)->loss != apart); /* decay has moved the biases too */
    lab_run_destroy(run);
    config = config_of("sgd", NULL);
    config.no_decay = "1";
    run = create(&config, &data);
    steps(run, 1, NULL);
    assert_int_not_equal(
        eden_get(lab_run_optimizer(run), "no_decay", "weight_decay", &value, NULL), EDEN_OK);
    lab_run_destroy(run);
}

/* ---- resuming --------------------------------------------------------------------------- */

static void resume_at(const lab_config *config, const lab_data *data, uint64_t k)
{
    double whole[21], parts[21];
    lab_run *run = create(config, data);
    const uint64_t all = lab_run_progress(run)->steps;
    steps(run, 100, whole);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    run = create(config, data);
    steps(run, k, parts);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    run = create(config, data);
    OK(lab_run_load(run, second, error));
    assert_int_equal(lab_run_progress(run)->step, k);
    steps(run, 100, parts);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    assert_memory_equal(whole, parts, (size_t)all * sizeof *whole);
    if (!same_files()) fail_msg("%s differs when resumed at %d", config->optimizer, (int)k);
}

static void test_resume(void **state)
{
    static const char *const names[] = { "sgd",  "momentum",  "nesterov", "adagrad", "rmsprop",
                                         "adam", "adafactor", "lamb",     "lion" };
    static const uint64_t at[] = { 0, 1, 5, 7, 8, 13, 14, 20, 21 };
    const lab_data data = task(1);
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const lab_config config = config_of(names[i], NULL);
        resume_at(&config, &data, at[i]);
    }
    lab_config config = config_of("adamw", "lr=0.01,weight_decay=0.1,amsgrad=raw");
    config.model.norm = "batch";
    config.model.dropout = 0.3;
    config.schedule = "cosine(30) * plateau(patience=1)";
    config.warmup = 3;
    config.no_decay = "1";
    config.clip_norm = 0.7;
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) resume_at(&config, &data, at[k]);
    config.accumulate = 3;
    resume_at(&config, &data, 4);
    config = config_of("nesterov", "nesterov=0,lookahead=1");
    resume_at(&config, &data, 9);
}

/* More epochs, fewer threads: the same run, only longer. */
static void test_longer(void **state)
{
    const lab_data data = task(1);
    lab_config config = config_of("lamb", NULL);
    (void)state;
    config.threads = config.model.threads = 3;
    config.epochs = 1;
    lab_run *run = create(&config, &data);
    steps(run, 100, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    config.threads = config.model.threads = 1;
    config.epochs = 3;
    run = create(&config, &data);
    OK(lab_run_load(run, second, error));
    assert_true(lab_run_progress(run)->evaluated);
    steps(run, 100, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    run = create(&config, &data);
    steps(run, 100, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    assert_true(same_files());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_regression), cmocka_unit_test(test_accumulate),
        cmocka_unit_test(test_rate),       cmocka_unit_test(test_groups_and_clipping),
        cmocka_unit_test(test_resume),     cmocka_unit_test(test_longer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
