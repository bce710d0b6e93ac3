/* test_gan_run.c - a run of generator and discriminator: resuming at any step, threads,
 * what its evaluation says, samples, and what is refused. */
#include "lab/judge.h"
#include "train_task.h"

static lab_data digits;

static int load(void **state)
{
    return set_up(state) || lab_data_digits(&digits, NULL);
}

static int unload(void **state)
{
    lab_data_free(&digits);
    return tear_down(state);
}

static lab_config config_for(const char *options)
{
    return (lab_config){ .optimizer = "adam", .settings = "lr=0.001,beta1=0.5", .epochs = 1,
                         .batch = 8, .seed = 5, .threads = 1, .task = options,
                         .model = { "mlp", "16", NULL, 0.1, 9, 1 } };
}

static lab_run *create_gan(const lab_config *config)
{
    lab_run *run = NULL;
    OK(lab_run_create_for(&run, config, &lab_adversarial, &digits, error));
    return run;
}

static void check_resume(const lab_config *config, uint64_t all, uint64_t stop)
{
    lab_run *run = create_gan(config);
    steps(run, 1000, NULL);
    assert_int_equal(lab_run_progress(run)->step, all);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    run = create_gan(config);
    steps(run, stop, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    run = create_gan(config);
    OK(lab_run_load(run, second, error));
    steps(run, 1000, NULL);
    OK(lab_run_save(run, second, error));
    assert_true(same_files());
    lab_run_destroy(run);
}

static void test_resume(void **state)
{
    (void)state;
    lab_config config = config_for("noise=4");
    check_resume(&config, 250, 131);
    config.epochs = 2;
    config.average = "ema:0.9:10";
    config.accumulate = 3;
    config.storage = (lab_storage){ EDEN_BF16, EDEN_F32, EDEN_F32, EDEN_KAHAN };
    config.schedule = "plateau(factor=0.5, patience=1, threshold=0.5)";
    check_resume(&config, 168, 100);
}

static void test_threads(void **state)
{
    (void)state;
    lab_config config = config_for(NULL);
    config.batch = 64;
    config.accumulate = 10;
    config.model.widths = "160,160";
    for (uint32_t threads = 1; threads <= 3; threads++) {
        config.threads = config.model.threads = threads;
        lab_run *run = create_gan(&config);
        steps(run, 1000, NULL);
        OK(lab_run_save(run, threads > 1 ? second : first, error));
        lab_run_destroy(run);
        assert_true(threads == 1 || same_files());
    }
}

/* The classifier knows real images, finds each class, and their distance is 0. */
static void test_judge(void **state)
{
    (void)state;
    lab_judge *judge = NULL;
    lab_verdict v, noise_too;
    float *gray = calloc((size_t)digits.test.count, (size_t)digits.features * sizeof *gray);
    OK(lab_judge_create(&judge, &digits, 1, error));
    OK(lab_judge_look(judge, digits.test.x, digits.test.label, digits.test.count, 1, &v, error));
    if (!(v.confident > 0.95 && v.agreeing > 0.95 && v.least > 0.06 && v.least <= 0.1))
        fail_msg("confident %g, agreeing %g, least %g", v.confident, v.agreeing, v.least);
    assert_true(v.distance < 1e-6);
    OK(lab_judge_look(judge, gray, digits.test.label, digits.test.count, 1, &noise_too, error));
    assert_true(noise_too.least == 0 && noise_too.agreeing < 0.2 && noise_too.distance > 10);
    OK(lab_judge_look(judge, gray, digits.test.label, 5, 0, &noise_too, error));
    assert_true(isnan(noise_too.distance));
    lab_judge_destroy(judge);
    free(gray);
}

/* Within a few seconds it comes nearer, and makes what it is asked for more often. */
static void test_learns(void **state)
{
    (void)state;
    double loss, metric, before;
    lab_sample sample;
    lab_config config = config_for("noise=8");
    config.batch = 64;
    config.epochs = 6;
    config.model.widths = "64,64";
    config.model.dropout = 0;
    lab_run *run = create_gan(&config);
    const lab_progress *p = lab_run_progress(run);
    assert_true(isnan(p->facts[0].value));
    OK(lab_run_evaluate(run, &before, &metric, error));
    steps(run, 10000, NULL);
    OK(lab_run_evaluate(run, &loss, &metric, error));
    assert_string_equal(p->facts[1].metric.name, "as asked");
    if (!(loss < before / 4 && p->facts[1].value > 0.5 && p->facts[0].value > 0.03
          && p->facts[0].value <= 0.1))
        fail_msg("from %g to %g, %g as asked, least %g", before, loss, p->facts[1].value,
                 p->facts[0].value);
    assert_true(loss == p->test_loss && metric == p->test_accuracy && metric > 0.3);
    const lab_sample_config wanted = { .count = 30, .seed = 1 };
    OK(lab_run_sample(run, &wanted, &sample, error));
    assert_true(sample.count == 30 && sample.height == 8 && sample.width == 8 && !sample.text);
    for (int i = 0; i < 30 * 64; i++) assert_true(sample.pixels[i] >= 0 && sample.pixels[i] <= 1);
    assert_memory_not_equal(sample.pixels, sample.pixels + 64, 64 * sizeof *sample.pixels);
    lab_sample_free(&sample);
    lab_run_destroy(run);
}

/* Of one image of one class, and with weights that stand still, batches differ in the
 * noise alone. */
static void test_noise(void **state)
{
    (void)state;
    double losses[250];
    lab_config config = config_for(NULL);
    lab_data one = digits;
    lab_run *run = NULL;
    int32_t label = 0;
    one.classes = 1;
    one.train = (lab_split){ 1, digits.train.x, &label, NULL };
    one.test = one.train;
    config.batch = 1;
    config.settings = "lr=1e-30";
    config.model.dropout = 0;
    OK(lab_run_create_for(&run, &config, &lab_adversarial, &one, error));
    steps(run, 250, losses);
    for (int i = 1; i < 250; i++) assert_true(losses[i] != losses[i - 1]);
    lab_run_destroy(run);
}

static void refuse(lab_config config, eden_status want, const char *part)
{
    lab_run *run = NULL;
    eden_error e = { 0, "" };
    refused(lab_run_create_for(&run, &config, &lab_adversarial, &digits, &e), want, &e, part);
    assert_null(run);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(config_for("noise=0"), EDEN_E_VALUE, "noise = 0 is outside 1 to 65536");
    refuse(config_for("envs=2"), EDEN_E_VALUE, "'envs=2' makes no sense here");
    lab_config config = config_for(NULL);
    config.model.norm = "batch";
    refuse(config, EDEN_E_VALUE, "each an mlp without normalization");
    config = config_for(NULL);
    config.batch = 5000;
    refuse(config, EDEN_E_VALUE, "batch = 5000 is more than the 1438 training examples");
    config = config_for(NULL);
    config.model.dropout = 1;
    refuse(config, EDEN_E_VALUE, "dropout is at least 0 and less than 1");
    config = config_for(NULL);
    const lab_sample_config none = { .count = 0 };
    lab_sample sample;
    eden_error e = { 0, "" };
    lab_run *run = create_gan(&config);
    refused(lab_run_sample(run, &none, &sample, &e), EDEN_E_VALUE, &e, "0 images are not 1 to 1000");
    lab_sample_free(&sample);
    lab_run_destroy(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume), cmocka_unit_test(test_threads), cmocka_unit_test(test_judge),
        cmocka_unit_test(test_learns), cmocka_unit_test(test_noise), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
