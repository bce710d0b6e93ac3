/* test_transformer.c - the gradients of the transformer by central differences, in the
 * build where LAB_REAL is double; the same bits for any number of threads; that a place
 * sees nothing behind it; that it learns; and what it refuses. */
#include "lab/transformer.h"

#include <math.h>

#include "model_data.h"

enum { LAYERS = 2, HEADS = 2, WIDTH = 6, CONTEXT = 5, MOST = 300 };

static float bytes[MOST];
static int32_t next[MOST];

/* Bytes of four kinds, so that each vector is met more than once. */
static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < MOST; i++) {
        bytes[i] = (float)(60 + lab_random_below(21, (uint64_t)i, 4));
        next[i] = (int32_t)(60 + lab_random_below(22, (uint64_t)i, 4));
    }
    return 0;
}

static lab_model *make(double dropout, uint32_t threads)
{
    const lab_transformer_config config = { LAYERS, HEADS, WIDTH, CONTEXT, dropout, 5, threads };
    lab_model *m = NULL;
    OK(lab_transformer_create(&m, &config, error));
    return m;
}

static double train(lab_model *m, uint64_t rows)
{
    double loss;
    uint64_t correct;
    OK(lab_model_train(m, bytes, next, NULL, rows, 3, &loss, &correct, error));
    return loss;
}

/* ---- gradients ------------------------------------------------------------------------ */

static double at(lab_model *m, lab_real *value, double there, uint64_t rows)
{
    const lab_real was = *value;
    *value = (lab_real)there;
    const double loss = train(m, rows);
    *value = was;
    return loss;
}

/* To the fourth order: a norm of vectors that lie close together bends sharply. */
static double slope(lab_model *m, lab_real *value, uint64_t rows)
{
    const double x = (double)*value, h = 2e-5;
    const double near = at(m, value, x + h, rows) - at(m, value, x - h, rows);
    const double far = at(m, value, x + 2 * h, rows) - at(m, value, x - 2 * h, rows);
    return (8 * near - far) / (12 * h);
}

static void check_tensor(lab_model *m, const lab_tensor *t, const lab_real *grads, uint64_t rows)
{
    const lab_real *grad = grads + t->offset;
    double top = 0;
    for (uint64_t i = 0; i < t->count; i++) top = fmax(top, fabs((double)grad[i]));
    /* A bias of keys moves all shares alike. */
    if (!(top > 1e-7)) fail_msg("%s has no gradient", t->name);
    for (uint64_t k = 0; k < 40; k++) {
        /* The bytes that occur, and one that does not. */
        const int vectors = !strcmp(t->name, "embedding.tokens");
        const uint64_t from = vectors ? 59 * WIDTH : 0, n = vectors ? 5 * WIDTH : t->count;
        const uint64_t i = from + (n <= 40 ? k % n : lab_random_below(15, k, n));
        const double have = (double)grad[i], want = slope(m, &t->value[i], rows);
        const double off = fabs(want - have) / fmax(0.01 * top, fmax(fabs(have), fabs(want)));
        if (!(off <= 1e-6))
            fail_msg("%s[%llu] has a gradient of %.17g instead of %.17g", t->name,
                     (unsigned long long)i, have, want);
    }
}

/* 33 rows are 6 sequences and a short one, in three blocks. */
static void test_gradients(void **state)
{
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        lab_model *m = make(dropped ? 0.3 : 0, 1);
        const uint64_t rows = 33;
        shake(m);
        train(m, rows);
        assert_true(m->batch.blocks == 3 && m->batch.block_rows == 15);
        lab_real *grads = malloc(m->learned * sizeof *grads);
        assert_non_null(grads);
        memset(m->grads, 0, m->learned * sizeof *grads);
        train(m, rows);
        memcpy(grads, m->grads, m->learned * sizeof *grads);
        for (uint32_t i = 0; i < m->layers; i++)
            for (uint32_t k = 0; k < m->layer[i].tensors; k++)
                check_tensor(m, &m->layer[i].tensor[k], grads, rows);
        free(grads);
        lab_model_destroy(m);
    }
}

/* ---- what a place sees ------------------------------------------------------------------ */

static void test_causal(void **state)
{
    (void)state;
    lab_model *m = make(0, 1);
    const lab_real *out;
    lab_real before[CONTEXT * LAB_BYTES];
    float x[CONTEXT];
    shake(m);
    memcpy(x, bytes, sizeof x);
    OK(lab_model_outputs(m, x, CONTEXT, &out, error));
    memcpy(before, out, sizeof before);
    x[3] = 10;
    OK(lab_model_outputs(m, x, CONTEXT, &out, error));
    assert_memory_equal(before, out, 3 * LAB_BYTES * sizeof *out);
    for (uint64_t r = 3; r < CONTEXT; r++)
        assert_memory_not_equal(before + r * LAB_BYTES, out + r * LAB_BYTES, LAB_BYTES * sizeof *out);
    lab_model_destroy(m);
}

/* ---- threads and learning ----------------------------------------------------------------- */

static void test_threads(void **state)
{
    (void)state;
    lab_real *values[4] = { NULL };
    uint64_t all = 0;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        const lab_transformer_config config = { 2, 2, 64, 16, 0.1, 5, threads };
        lab_model *m = NULL;
        OK(lab_transformer_create(&m, &config, error));
        for (int step = 0; step < 3; step++) {
            memset(m->grads, 0, m->learned * sizeof *m->grads);
            train(m, 272);
            assert_int_equal(m->batch.blocks, 6);
            for (uint64_t i = 0; i < m->learned; i++) m->values[i] -= (lab_real)0.1 * m->grads[i];
        }
        all = m->all;
        values[threads] = malloc(all * sizeof **values);
        assert_non_null(values[threads]);
        memcpy(values[threads], m->values, all * sizeof **values);
        assert_int_equal(lab_workers_count(m->workers), threads);
        lab_model_destroy(m);
        assert_memory_equal(values[1], values[threads], all * sizeof **values);
    }
    for (int i = 1; i <= 3; i++) free(values[i]);
}

/* It can learn a batch by heart: places and bytes decide what follows. */
static void test_overfits(void **state)
{
    (void)state;
    const lab_transformer_config config = { 2, 2, 16, CONTEXT, 0, 5, 1 };
    lab_model *m = NULL;
    double loss = 0;
    OK(lab_transformer_create(&m, &config, error));
    assert_true(fabs(train(m, 15) - log(256)) < 0.05);
    for (int step = 0; step < 600; step++) {
        memset(m->grads, 0, m->learned * sizeof *m->grads);
        loss = train(m, 15);
        for (uint64_t i = 0; i < m->learned; i++) m->values[i] -= (lab_real)0.3 * m->grads[i];
    }
    if (!(loss < 0.3)) fail_msg("the loss is %g", loss);
    lab_model_destroy(m);
}

/* ---- refusals --------------------------------------------------------------------------- */

static void refuse(lab_transformer_config config, const char *part)
{
    lab_model *m = NULL;
    eden_error e = { 0, "" };
    assert_int_equal(lab_transformer_create(&m, &config, &e), EDEN_E_VALUE);
    assert_null(m);
    if (!strstr(e.text, part)) fail_msg("'%s' does not contain '%s'", e.text, part);
}

static void test_refusals(void **state)
{
    (void)state;
    eden_error e = { 0, "" };
    double loss;
    uint64_t correct;
    refuse((lab_transformer_config){ 0, 2, 6, 5, 0, 1, 1 }, "layers = 0 is outside 1 to 16");
    refuse((lab_transformer_config){ 17, 2, 6, 5, 0, 1, 1 }, "layers = 17");
    refuse((lab_transformer_config){ 1, 4, 6, 5, 0, 1, 1 }, "heads = 4 do not divide width = 6");
    refuse((lab_transformer_config){ 1, 0, 6, 5, 0, 1, 1 }, "heads = 0");
    refuse((lab_transformer_config){ 1, 2, 0, 5, 0, 1, 1 }, "width = 0");
    refuse((lab_transformer_config){ 1, 2, 6, 5000, 0, 1, 1 }, "context = 5000 is outside 1 to 4096");
    refuse((lab_transformer_config){ 1, 2, 6, 5, 1, 1, 1 }, "dropout");
    refuse((lab_transformer_config){ 16, 2, 65536, 5, 0, 1, 1 }, "weights: choose smaller widths");
    lab_model *m = make(0, 1);
    const float bad[] = { 65, 256 };
    assert_int_equal(lab_model_train(m, bad, next, NULL, 2, 1, &loss, &correct, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "row 1 is 256"));
    lab_model_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_causal),
        cmocka_unit_test(test_threads),   cmocka_unit_test(test_overfits),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, NULL); /* LAB_REAL is double */
}
