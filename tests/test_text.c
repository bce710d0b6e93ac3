/* test_text.c - learning a text: the loop on bytes, resuming, threads, the loss of all of
 * the test text, samples, and what is refused. */
#include "lab/text.h"

#include "lab/model_inside.h"
#include "lab/random.h"
#include "lab/transformer.h"
#include "train_task.h"

static const char small[] = "context=8,heads=2,layers=1,width=8";

/* Words over and over. */
static lab_text words_of(uint64_t count)
{
    static const char phrase[] = "the cat sat on the mat; ";
    lab_text text = { "words", 77, malloc(count), count, count - count / 10 };
    assert_non_null(text.bytes);
    for (uint64_t i = 0; i < count; i++)
        text.bytes[i] = (unsigned char)phrase[i % (sizeof phrase - 1)];
    for (uint64_t i = 0; i < count / 10; i++) /* not quite */
        text.bytes[lab_random_below(3, i, count)] = (unsigned char)('a' + lab_random_below(4, i, 26));
    return text;
}

static lab_text words(void) { return words_of(1000); }

static lab_config config_for(const char *options)
{
    return (lab_config){ .optimizer = "adamw", .settings = "lr=0.01", .no_decay = "1", .epochs = 2,
                         .batch = 4, .clip_norm = 1, .seed = 5, .threads = 1, .task = options,
                         .model = { "transformer", NULL, NULL, 0, 9, 1 } };
}

static lab_run *create_on(const lab_config *config, const lab_text *text)
{
    lab_run *run = NULL;
    OK(lab_run_create_for(&run, config, &lab_language, text, error));
    return run;
}

/* ---- resuming and threads ------------------------------------------------------------------ */

static void check_resume(const lab_config *config, uint64_t stop)
{
    lab_text text = words();
    lab_run *run = create_on(config, &text);
    steps(run, 1000, NULL);
    assert_int_equal(lab_run_progress(run)->step, 500);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    run = create_on(config, &text);
    steps(run, stop, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    run = create_on(config, &text);
    OK(lab_run_load(run, second, error));
    assert_int_equal(lab_run_progress(run)->step, stop);
    steps(run, 1000, NULL);
    OK(lab_run_save(run, second, error));
    assert_true(same_files());
    lab_run_destroy(run);
    lab_text_free(&text);
}

static void test_resume(void **state)
{
    (void)state;
    lab_config config = config_for(small);
    check_resume(&config, 131);
    config.model.dropout = 0.2;
    config.average = "ema:0.9:10";
    config.schedule = "plateau(factor=0.5, patience=1, threshold=0.5)";
    config.storage = (lab_storage){ EDEN_BF16, EDEN_F32, EDEN_F32, EDEN_KAHAN };
    check_resume(&config, 250);
}

/* A run that was once meant to end goes on as if it never had been, though at the end all
 * of the test text is measured, and between epochs a part. */
static void test_longer(void **state)
{
    (void)state;
    lab_text text = words_of(30000);
    lab_config config = config_for(small);
    config.schedule = "plateau(factor=0.5, patience=1, threshold=0.5)";
    lab_run *run = create_on(&config, &text);
    steps(run, 1000, NULL);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    config.epochs = 1;
    run = create_on(&config, &text);
    steps(run, 1000, NULL);
    OK(lab_run_save(run, second, error));
    lab_run_destroy(run);
    config.epochs = 2;
    run = create_on(&config, &text);
    OK(lab_run_load(run, second, error));
    steps(run, 1000, NULL);
    OK(lab_run_save(run, second, error));
    assert_true(same_files());
    lab_run_destroy(run);
    lab_text_free(&text);
}

/* Batches are other ones in every epoch and under every seed. */
static void test_batches(void **state)
{
    (void)state;
    lab_text text = words();
    lab_config config = config_for(small);
    double losses[2][500];
    config.settings = "lr=1e-30,weight_decay=0";
    for (int i = 0; i < 2; i++) {
        config.seed = (uint64_t)i;
        lab_run *run = create_on(&config, &text);
        steps(run, 500, losses[i]);
        lab_run_destroy(run);
    }
    for (int k = 0; k < 250; k++)
        assert_true(losses[0][k] != losses[0][k + 250] && losses[0][k] != losses[1][k]);
    lab_text_free(&text);
}

static void test_threads(void **state)
{
    (void)state;
    lab_text text = words();
    lab_config config = config_for("context=16,heads=4,layers=2,width=32");
    config.batch = 14;
    config.model.dropout = 0.1;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        config.threads = config.model.threads = threads;
        lab_run *run = create_on(&config, &text);
        const lab_model *m = lab_run_model(run);
        assert_true(m->work * 14 * 16 * 3 > 4000000); /* else threads take no part */
        steps(run, 12, NULL);
        OK(lab_run_save(run, threads == 1 ? first : second, error));
        if (threads > 1) assert_true(same_files());
        lab_run_destroy(run);
    }
    lab_text_free(&text);
}

/* ---- losses -------------------------------------------------------------------------------- */

/* The loss from the network's outputs, in double: each byte of the test text but the first
 * from at most 8 before it, in sequences that do not overlap. */
static double loss_by_hand(lab_run *run, const lab_text *text)
{
    lab_model *m = run->problem->model;
    double sum = 0;
    float x[8];
    for (uint64_t at = text->train; at + 1 < text->count; at += 8) {
        const lab_real *z;
        const uint64_t left = text->count - 1 - at, n = left < 8 ? left : 8;
        for (uint64_t i = 0; i < n; i++) x[i] = (float)text->bytes[at + i];
        OK(lab_model_outputs(m, x, n, &z, error));
        for (uint64_t i = 0; i < n; i++) {
            double all = 0;
            for (int k = 0; k < 256; k++) all += exp((double)z[i * 256 + (uint64_t)k]);
            sum += log(all) - (double)z[i * 256 + text->bytes[at + i + 1]];
        }
    }
    return sum / (double)(text->count - text->train - 1);
}

static void test_evaluate(void **state)
{
    (void)state;
    lab_text text = words();
    const lab_config config = config_for(small);
    double loss, perplexity;
    lab_run *run = create_on(&config, &text);
    steps(run, 40, NULL);
    OK(lab_run_evaluate(run, &loss, &perplexity, error));
    assert_true(fabs(loss - loss_by_hand(run, &text)) < 1e-5);
    assert_true(fabs(perplexity - exp(loss)) < 1e-9 * perplexity);
    steps(run, 1000, NULL);
    OK(lab_run_evaluate(run, &loss, &perplexity, error));
    assert_true(loss == lab_run_progress(run)->test_loss);
    lab_run_destroy(run);
    lab_text_free(&text);
}

/* What one learns who only counts bytes. */
static double entropy(const lab_text *text)
{
    double count[256], sum = 0;
    for (int i = 0; i < 256; i++) count[i] = 1e-3;
    for (uint64_t i = 0; i < text->train; i++) count[text->bytes[i]]++;
    for (uint64_t i = text->train; i < text->count; i++)
        sum += log((double)text->train / count[text->bytes[i]]);
    return sum / (double)(text->count - text->train);
}

static void test_learns(void **state)
{
    (void)state;
    lab_text text;
    OK(lab_text_load(&text, NULL, error));
    assert_true(text.count > 400000 && text.train == text.count - text.count / 10);
    lab_config config = config_for("context=32,heads=2,layers=1,width=32");
    config.epochs = 1;
    lab_run *run = create_on(&config, &text);
    steps(run, 250, NULL);
    const double least = entropy(&text), loss = lab_run_progress(run)->test_loss;
    assert_true(least > 3 && least < 3.7);
    if (!(loss < least - 0.4)) fail_msg("the loss is %g, and %g are known by counting", loss, least);
    lab_run_destroy(run);
    lab_text_free(&text);
}

/* ---- samples ----------------------------------------------------------------------------- */

static void test_samples(void **state)
{
    (void)state;
    lab_text text = words();
    const lab_config config = config_for(small);
    lab_run *run = create_on(&config, &text);
    lab_sample a, b;
    lab_sample_config how = { 50, 1, 3 };
    const lab_real *z;
    const float line = '\n';
    double chance[256], sum = 0, seen = 0;
    steps(run, 500, NULL);
    OK(lab_run_sample(run, &how, &a, error));
    OK(lab_run_sample(run, &how, &b, error));
    assert_true(a.length == 50 && a.text[50] == '\0' && !memcmp(a.text, b.text, 50));
    lab_sample_free(&b);
    how.seed = 4;
    OK(lab_run_sample(run, &how, &b, error));
    assert_true(memcmp(a.text, b.text, 50) != 0);
    lab_sample_free(&a);
    lab_sample_free(&b);
    OK(lab_model_outputs(run->problem->model, &line, 1, &z, error));
    int best = 0;
    for (int i = 0; i < 256; i++) {
        chance[i] = exp((double)z[i]);
        sum += chance[i];
        if (z[i] > z[best]) best = i;
    }
    how.count = 1;
    for (how.seed = 0; how.seed < 4000; how.seed++) { /* 4 standard deviations are 0.032 at most */
        OK(lab_run_sample(run, &how, &a, error));
        seen += (unsigned char)a.text[0] == best;
        lab_sample_free(&a);
    }
    assert_true(fabs(seen / 4000 - chance[best] / sum) < 0.032);
    how.temperature = 0;
    OK(lab_run_sample(run, &how, &a, error));
    assert_int_equal((unsigned char)a.text[0], best);
    lab_sample_free(&a);
    lab_run_destroy(run);
    lab_text_free(&text);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void refuse(const lab_config *config, const lab_text *text, eden_status want,
                   const char *part)
{
    lab_run *run = NULL;
    eden_error e = { 0, "" };
    refused(lab_run_create_for(&run, config, &lab_language, text, &e), want, &e, part);
    assert_null(run);
}

static void test_refusals(void **state)
{
    (void)state;
    lab_text text = words();
    eden_error e = { 0, "" };
    lab_config config = config_for("contxt=8");
    refuse(&config, &text, EDEN_E_VALUE, "the option 'contxt=8' makes no sense");
    config.task = "context=8x";
    refuse(&config, &text, EDEN_E_VALUE, "'context=8x'");
    config.task = "context=0";
    refuse(&config, &text, EDEN_E_VALUE, "context = 0 is outside 1 to 4096");
    config.task = "context=900";
    refuse(&config, &text, EDEN_E_SHAPE, "words has 900 bytes to learn from");
    config.task = "heads=3,width=8";
    refuse(&config, &text, EDEN_E_VALUE, "heads = 3 do not divide width = 8");
    config = config_for(small);
    config.model.kind = "mlp";
    refuse(&config, &text, EDEN_E_NAME, "'mlp' is no model for a text");
    config = config_for(small);
    config.model.norm = "batch";
    refuse(&config, &text, EDEN_E_VALUE, "norm say nothing to it");
    config = config_for(small);
    config.accumulate = 251;
    refuse(&config, &text, EDEN_E_VALUE, "accumulate = 251 is more than the 250 batches");
    config = config_for(small);
    lab_run *run = create_on(&config, &text);
    OK(lab_run_save(run, first, error));
    lab_run_destroy(run);
    config.task = "context=9,heads=2,layers=1,width=8";
    run = create_on(&config, &text);
    refused(lab_run_load(run, first, &e), EDEN_E_MISMATCH, &e, "with task context=8,");
    lab_run_destroy(run);
    lab_text_free(&text);
}

static void test_files(void **state)
{
    (void)state;
    lab_text text;
    eden_error e = { 0, "" };
    refused(lab_text_load(&text, "/nonexistent/x", &e), EDEN_E_IO, &e, "/nonexistent/x");
    static const size_t sizes[] = { 0, 19, 20 };
    for (int i = 0; i < 3; i++) {
        const size_t n = sizes[i];
        FILE *f = fopen(first, "wb");
        assert_non_null(f);
        fwrite("to be, or not to be, or", 1, n, f);
        fclose(f);
        if (n < 20) refused(lab_text_load(&text, first, &e), EDEN_E_SHAPE, &e, "at least 20");
        else OK(lab_text_load(&text, first, error));
    }
    assert_true(text.count == 20 && text.train == 18 && !strcmp(text.name, "a"));
    const uint64_t hash = text.hash;
    lab_text_free(&text);
    FILE *f = fopen(first, "r+b");
    assert_non_null(f);
    fseek(f, 13, SEEK_SET);
    fputc('T', f);
    fclose(f);
    OK(lab_text_load(&text, first, error));
    assert_true(text.hash != hash);
    lab_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume),   cmocka_unit_test(test_longer),
        cmocka_unit_test(test_batches),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_evaluate), cmocka_unit_test(test_learns),
        cmocka_unit_test(test_samples),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
