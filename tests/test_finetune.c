/* test_finetune.c - which examples a network is fine-tuned on, what it keeps of what it has
 * learned, and that body and head have rates of their own. */
#include "lab/model_inside.h"
#include "lab/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(call)                                                     \
    do {                                                             \
        eden_error e_ = { 0, "" }, *error = &e_;                     \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text);   \
    } while (0)

static lab_data digits;
static char path[] = "/tmp/eden-finetune-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    const int file = mkstemp(path);
    return file < 0 || close(file) || lab_data_digits(&digits, NULL);
}

static int tear_down(void **state)
{
    char old[sizeof path + 4];
    (void)state;
    lab_data_free(&digits);
    snprintf(old, sizeof old, "%s.old", path);
    remove(old);
    return remove(path);
}

static lab_config config_of(const char *task)
{
    return (lab_config){ .optimizer = "sgd", .settings = "lr=0.5", .epochs = 2, .batch = 16, .seed = 3,
                         .threads = 1, .task = task, .model = { "cnn", "4,8", NULL, 0, 3, 1 } };
}

static lab_run *start(const char *task, const char *from, int resumed)
{
    const lab_transfer source = { &digits, from, resumed };
    const lab_config config = config_of(task);
    lab_run *run = NULL;
    OK(lab_run_create_for(&run, &config, &lab_finetune, &source, error));
    return run;
}

/* ---- what it begins with --------------------------------------------------------------- */

/* How many values of body and head two models have in common, of how many. */
typedef struct {
    uint64_t body, body_all, head, head_all;
} common;

static common compare(const lab_run *x, const lab_run *y)
{
    const lab_model *a = lab_run_model(x), *b = lab_run_model(y);
    common c = { 0, 0, 0, 0 };
    for (uint32_t i = 0; i < a->layers; i++)
        for (uint32_t k = 0; k < a->layer[i].tensors; k++) {
            const lab_tensor *t = &a->layer[i].tensor[k], *u = &b->layer[i].tensor[k];
            const int head = !strncmp(t->name, "layer1.", 7);
            if (head && t->count != u->count) continue;
            for (uint64_t j = 0; j < t->count; j++) {
                const uint64_t same = !memcmp(&t->value[j], &u->value[j], sizeof *t->value);
                if (head) c.head += same, c.head_all++;
                else c.body += same, c.body_all++;
            }
        }
    return c;
}

/* From nothing, body and head are as the seed says; else the head alone is. */
static void test_beginnings(void **state)
{
    (void)state;
    lab_run *scratch = start("scratch=1", NULL, 0), *resumed = start(NULL, NULL, 1);
    lab_run *made = start(NULL, NULL, 0), *again = start(NULL, NULL, 0);
    assert_null(lab_run_problem(scratch)->start);
    assert_non_null(strstr(lab_run_problem(made)->start, "examples of classes 0 to 4"));
    common c = compare(scratch, resumed);
    assert_true(c.body == c.body_all && c.head == c.head_all && c.head_all == 5 * 32 + 5);
    c = compare(made, again);
    assert_true(c.body == c.body_all && c.head == c.head_all);
    c = compare(scratch, made);
    assert_true(c.body == 0 && c.head == c.head_all);
    lab_run_destroy(scratch);
    lab_run_destroy(resumed);
    lab_run_destroy(made);
    lab_run_destroy(again);
}

/* A checkpoint of `eden train`: its body, running means included, and not its head. */
static void test_from(void **state)
{
    (void)state;
    lab_run *all = NULL;
    int done = 0;
    lab_config config = config_of(NULL);
    config.batch = 64;
    OK(lab_run_create(&all, &config, &digits, error));
    while (!done) OK(lab_run_step(all, &done, error));
    OK(lab_run_save(all, path, error));
    lab_run *run = start(NULL, path, 0), *scratch = start("scratch=1", NULL, 0);
    common c = compare(run, all);
    assert_true(c.body == c.body_all && c.body_all > 300 && c.head == 0);
    assert_non_null(strstr(lab_run_problem(run)->start, "10 of the body's 10 tensors"));
    c = compare(run, scratch);
    assert_true(c.head == c.head_all);
    lab_run_destroy(all);
    /* Five classes have a head of the same shape, which is new all the same. */
    OK(lab_run_save(run, path, error));
    lab_run *second = start(NULL, path, 0);
    c = compare(second, scratch);
    assert_true(c.head == c.head_all && c.head_all > 0);
    lab_run_destroy(run);
    lab_run_destroy(second);
    lab_run_destroy(scratch);
}

/* ---- what it learns -------------------------------------------------------------------- */

/* In the first step body and head move by their rates times their gradients. */
static void test_rates(void **state)
{
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        lab_run *run = start(apart ? "body=250000" : "scratch=1", NULL, 0);
        const lab_model *m = lab_run_model(run);
        double rate = 0;
        int done, moved = 0;
        lab_real *before = malloc(m->learned * sizeof *before);
        assert_non_null(before);
        memcpy(before, m->values, m->learned * sizeof *before);
        OK(eden_schedule(lab_run_optimizer(run), NULL, "lr", "constant(0.5)", error));
        if (apart) {
            OK(eden_get_at(lab_run_optimizer(run), "body", "lr", 1, &rate, error));
            assert_true(rate == 0.0625);
            OK(eden_get_at(lab_run_optimizer(run), "head", "lr", 1, &rate, error));
            assert_true(rate == 0.25);
        }
        OK(lab_run_step(run, &done, error));
        for (uint32_t i = 0; i < m->layers; i++)
            for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
                const lab_tensor *t = &m->layer[i].tensor[k];
                const int head = !strncmp(t->name, "layer1.", 7);
                for (uint64_t j = 0; t->grad && j < t->count; j++) {
                    const double want = (apart && !head ? 0.0625 : 0.25) * (double)t->grad[j];
                    const double have = (double)before[t->offset + j] - (double)t->value[j];
                    assert_true(fabs(want - have) <= 1e-6 * (1 + fabs((double)t->value[j])));
                    moved += have != 0;
                }
            }
        assert_true(moved > 300);
        free(before);
        lab_run_destroy(run);
    }
}

/* Marks the training example that a row is, which no other row has been. */
static int32_t find(char *used, const float *x, int32_t label)
{
    uint64_t i = 0;
    while (i < digits.train.count
           && (used[i] || digits.train.label[i] != label
               || memcmp(digits.train.x + i * 64, x, 64 * sizeof *x))) i++;
    assert_true(i < digits.train.count);
    used[i] = 1;
    return (int32_t)i;
}

/* 23 examples of five classes: 5 of the first three and 4 of the others, each once, of the
 * training set; and others for another seed. */
static void test_examples(void **state)
{
    (void)state;
    int32_t chosen[2][23];
    uint32_t order[23];
    for (uint32_t i = 0; i < 23; i++) order[i] = i;
    for (uint64_t seed = 0; seed < 2; seed++) {
        const lab_transfer source = { &digits, NULL, 0 };
        const lab_turn turn = { .epoch = 1, .number = 1, .order = order };
        lab_config config = config_of("examples=23,scratch=1");
        lab_problem *p = NULL;
        lab_sums sums = { 0, 0, 0 };
        int seen[5] = { 0 };
        char *used = calloc(digits.train.count, 1);
        assert_non_null(used);
        config.seed = seed;
        config.batch = 32;
        OK(lab_finetune.create(&p, &config, &source, error));
        assert_int_equal(p->examples, 23);
        assert_string_equal(p->data, "digits, classes 5 to 9");
        OK(lab_finetune.learn(p, &turn, &sums, error));
        assert_int_equal(sums.rows, 23);
        for (int r = 0; r < 23; r++) {
            const int32_t label = p->model->batch.label[r];
            assert_true(label >= 0 && label < 5);
            chosen[seed][r] = find(used, p->model->batch.x + r * 64, label + 5);
            seen[label]++;
        }
        for (int c = 0; c < 5; c++) assert_int_equal(seen[c], c < 3 ? 5 : 4);
        free(used);
        lab_finetune.destroy(p);
    }
    assert_memory_not_equal(chosen[0], chosen[1], sizeof chosen[0]);
}

/* ---- what it refuses ------------------------------------------------------------------- */

static void refuse(lab_config config, const lab_data *data, eden_status want, const char *part)
{
    lab_run *run = NULL;
    eden_error e = { 0, "" };
    const lab_transfer source = { data, NULL, 0 };
    assert_int_equal(lab_run_create_for(&run, &config, &lab_finetune, &source, &e), want);
    if (!strstr(e.text, part)) fail_msg("'%s' does not contain '%s'", e.text, part);
    assert_null(run);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(config_of("examples=4"), &digits, EDEN_E_VALUE, "examples = 4 leave some of the 5 new");
    refuse(config_of("examples=1000"), &digits, EDEN_E_VALUE, "examples = 1000 take 200 of each new class");
    refuse(config_of("body=1000001"), &digits, EDEN_E_VALUE, "at most that of the head");
    refuse(config_of("heads=2"), &digits, EDEN_E_VALUE, "'heads=2' makes no sense");
    lab_config config = config_of(NULL);
    config.model.kind = "logistic";
    refuse(config, &digits, EDEN_E_NAME, "no body to keep");
    lab_data few = digits;
    few.classes = 3;
    refuse(config_of(NULL), &few, EDEN_E_SHAPE, "no set of images of at least 4 classes");
    few = digits;
    few.classes = 30;
    refuse(config_of(NULL), &few, EDEN_E_SHAPE, "lacks examples of classes 0 to 14, or of the others");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beginnings), cmocka_unit_test(test_from), cmocka_unit_test(test_rates),
        cmocka_unit_test(test_examples),   cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
