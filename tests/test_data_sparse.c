/* test_data_sparse.c - the made-up documents are what their description says: words as
 * often as Zipf's law has it, two classes of about the same size that rare words tell as
 * much of as frequent ones; and absent words have gradients of exactly zero. */
#include "lab/data.h"
#include "lab/model_inside.h"
#include "lab/train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { WORDS = LAB_SPARSE_WORDS, DRAWS = LAB_SPARSE_DRAWS };

static lab_data data;

static int set_up(void **state)
{
    (void)state;
    return lab_data_sparse(&data, 7, NULL) != EDEN_OK;
}

static int tear_down(void **state)
{
    (void)state;
    lab_data_free(&data);
    return 0;
}

/* The chance that a word is in a document. */
static double presence(int word)
{
    double sum = 0;
    for (int w = 1; w <= WORDS; w++) sum += 1.0 / w;
    return 1 - pow(1 - 1 / (word + 1.0) / sum, DRAWS);
}

/* In how many documents a word is, and how many of them are of class 1. */
static double counted(const lab_split *split, int word, double *ones)
{
    double n = 0;
    *ones = 0;
    for (uint64_t i = 0; i < split->count; i++) {
        const float x = split->x[i * WORDS + (uint64_t)word];
        assert_true(x == 0 || x == 1);
        n += (double)x;
        *ones += (double)x * split->label[i];
    }
    return n;
}

/* Each count is within six deviations, and the squares of all come to about one each. */
static void test_words(void **state)
{
    const lab_split *const splits[] = { &data.train, &data.test };
    (void)state;
    assert_true(data.features == WORDS && data.classes == 2 && data.height == 1);
    for (int s = 0; s < 2; s++) {
        double squares = 0, ones;
        for (int w = 0; w < WORDS; w++) {
            const double n = (double)splits[s]->count, p = presence(w);
            const double off = (counted(splits[s], w, &ones) - n * p) / sqrt(n * p * (1 - p));
            if (!(fabs(off) < 6)) fail_msg("word %d is off by %g deviations", w, off);
            squares += off * off;
        }
        if (!(squares > 0.8 * WORDS && squares < 1.2 * WORDS)) fail_msg("squares of %g", squares);
    }
}

/* If a word said nothing, how many of its documents are of class 1 would vary by chance,
 * with a mean square of one deviation. */
static void test_labels(void **state)
{
    double ones = 0, square[2] = { 0, 0 };
    const lab_split *train = &data.train;
    (void)state;
    for (uint64_t i = 0; i < train->count; i++) {
        assert_true(train->label[i] == 0 || train->label[i] == 1);
        ones += train->label[i];
    }
    const double share = ones / (double)train->count;
    if (!(share > 0.4 && share < 0.6)) fail_msg("%g of all are of class 1", share);
    for (int w = 10; w < WORDS; w++) {
        double right;
        const double n = counted(train, w, &right);
        const double off = (right - n * share) / sqrt(n * share * (1 - share));
        square[w >= 100] += off * off;
    }
    if (!(square[0] / 90 > 10)) fail_msg("frequent words have squares of %g", square[0] / 90);
    if (!(square[1] / (WORDS - 100) > 2)) fail_msg("rare ones %g", square[1] / (WORDS - 100));
}

static void test_seeds(void **state)
{
    lab_data again, other;
    (void)state;
    assert_int_equal(lab_data_sparse(&again, 7, NULL), EDEN_OK);
    assert_int_equal(lab_data_sparse(&other, 8, NULL), EDEN_OK);
    assert_true(again.hash == data.hash && other.hash != data.hash);
    assert_memory_equal(again.train.x, data.train.x, data.train.count * WORDS * sizeof(float));
    lab_data_free(&again);
    lab_data_free(&other);
    assert_int_equal(lab_data_sparse(NULL, 7, NULL), EDEN_E_ARGUMENT);
}

/* A step by plain descent moves the words of the batch and no other, to the last bit. */
static void test_absent(void **state)
{
    (void)state;
    static float before[2 * WORDS], after[2 * WORDS];
    char present[WORDS] = { 0 };
    const lab_config config = { .optimizer = "sgd", .settings = "lr=1", .epochs = 1, .batch = 8000,
                                .seed = 1, .threads = 1,
                                .model = { "logistic", NULL, NULL, -1, 1, 1 } };
    lab_data few = data;
    lab_run *run;
    int done, absent = 0;
    few.train.count = 32;
    assert_int_equal(lab_run_create(&run, &config, &few, NULL), EDEN_OK);
    const lab_real *weight = lab_run_model(run)->layer[0].tensor[0].value;
    memcpy(before, weight, sizeof before);
    assert_int_equal(lab_run_step(run, &done, NULL), EDEN_OK);
    memcpy(after, weight, sizeof after);
    for (uint64_t i = 0; i < 32 * WORDS; i++) present[i % WORDS] |= few.train.x[i] > 0;
    for (int i = 0; i < 2 * WORDS; i++) {
        const int moved = memcmp(&before[i], &after[i], sizeof before[i]) != 0;
        if (moved != present[i % WORDS]) fail_msg("word %d of class %d", i % WORDS, i / WORDS);
        absent += !present[i % WORDS];
    }
    assert_true(absent > WORDS / 2);
    lab_run_destroy(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words), cmocka_unit_test(test_labels), cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
