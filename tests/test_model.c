/* test_model.c - the gradients of the networks by central differences, in the
 * build where LAB_REAL is double; the same bits for any number of threads; that
 * they can learn; and what they refuse. */
#include "lab/data.h"
#include "model_data.h"

#include <math.h>

static const char *const norms[] = { "none", "batch", "layer" };

/* ---- gradients ------------------------------------------------------------------------ */

/* How far the gradient `have` of *value is from central differences, where `unit`
 * is the least that counts as 1. Where a kink of ReLU or of a maximum lies within
 * one distance, it does not within a shorter one: the best of three. */
static double gradient_error(lab_model *m, const lab_data *d, lab_real *value, double have,
                             double unit)
{
    const double was = (double)*value;
    double best = INFINITY;
    for (double h = 1e-5; h > 5e-8; h /= 10) {
        uint64_t correct;
        *value = (lab_real)(was + h);
        const double above = train_once(m, d, 3, &correct);
        *value = (lab_real)(was - h);
        const double below = train_once(m, d, 3, &correct);
        *value = (lab_real)was;
        const double want = (above - below) / (2 * h);
        best = fmin(best, fabs(want - have) / fmax(unit, fmax(fabs(have), fabs(want))));
        if (best <= 1e-7) break;
    }
    return best;
}

enum { ELEMENTS = 10 };

static void check_tensor(lab_model *m, const lab_data *d, const lab_tensor *t,
                         const lab_real *grads)
{
    const lab_real *grad = grads + t->offset;
    uint64_t largest = 0;
    for (uint64_t i = 1; i < t->count; i++)
        if (fabs((double)grad[i]) > fabs((double)grad[largest])) largest = i;
    const double top = fabs((double)grad[largest]);
    if (!(top > 1e-6)) fail_msg("%s: %s has no gradient", m->text, t->name);
    const uint64_t tries = t->count < ELEMENTS ? t->count : ELEMENTS;
    for (uint64_t k = 0; k < tries; k++) {
        const uint64_t i = t->count <= ELEMENTS ? k
                           : k == 0             ? largest
                                                : lab_random_below(15, k, t->count);
        const double off = gradient_error(m, d, &t->value[i], (double)grad[i], 0.01 * top);
        if (!(off <= 1e-6))
            fail_msg("%s: %s[%llu] has a gradient of %.17g, which is off by %g", m->text, t->name,
                     (unsigned long long)i, (double)grad[i], off);
    }
}

static void check_gradients(const lab_data *d, const char *kind, const char *widths,
                            const char *norm, double dropout)
{
    lab_model *m = make_model(d, kind, widths, norm, dropout, 1);
    uint64_t correct;
    shake(m);
    train_once(m, d, 3, &correct);
    lab_real *grads = malloc(m->learned * sizeof *grads);
    memcpy(grads, m->grads, m->learned * sizeof *grads);
    assert_true(m->batch.blocks > 2);
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++)
            if (m->layer[i].tensor[k].role != LAB_RUNNING)
                check_tensor(m, d, &m->layer[i].tensor[k], grads);
    free(grads);
    lab_model_destroy(m);
}

/* Sizes are odd, so that pooling leaves lines out and the last block is short. Small
 * images share a product, and large ones take several for a block; of the wide matrix the
 * gradient takes two products. */
static void test_gradients(void **state)
{
    (void)state;
    for (uint32_t classes = 0; classes <= 4; classes += 4) {
        lab_data table = make_data(70, 1, 1, 9, classes), images = make_data(19, 2, 5, 7, classes);
        lab_data large = make_data(19, 1, 12, 12, classes);
        check_gradients(&large, "cnn", "3", "none", 0);
        free_data(&large);
        check_gradients(&table, "mlp", "200", "none", 0);
        for (int k = 0; k < 6; k++) {
            const double dropout = k % 2 ? 0.3 : 0;
            if (k < 2) check_gradients(&table, "logistic", NULL, NULL, dropout);
            check_gradients(&table, "mlp", "7,5", norms[k / 2], dropout);
            check_gradients(&images, "cnn", "3,4", norms[k / 2], dropout);
            check_gradients(&images, "resnet", "3,4", norms[k / 2], dropout);
        }
        free_data(&table);
        free_data(&images);
    }
}

/* Gradients are added to those that are there. */
static void test_accumulates(void **state)
{
    (void)state;
    lab_data d = make_data(40, 1, 1, 6, 3);
    lab_model *m = make_model(&d, "mlp", "8", "layer", 0, 1);
    uint64_t correct;
    train_once(m, &d, 1, &correct);
    const lab_tensor *t = find_tensor(m, "layer1.weight");
    const double once = (double)t->grad[3];
    train_once(m, &d, 1, &correct);
    assert_true(once != 0 && fabs((double)t->grad[3] - 2 * once) <= 1e-15);
    lab_model_destroy(m);
    free_data(&d);
}

/* ---- threads ---------------------------------------------------------------------------- */

typedef struct {
    double loss[3];
    uint64_t correct[3];
    uint64_t hash;
} outcome;

/* Three steps, each with a size of batch of its own, and an evaluation. */
static outcome run_with(const lab_data *d, const char *kind, const char *widths, const char *norm,
                        uint32_t threads)
{
    static const uint64_t counts[] = { 77, 300, 150 };
    lab_model *m = make_model(d, kind, widths, norm, 0.2, threads);
    outcome o = { .hash = 14695981039346656037u };
    for (int s = 0; s < 3; s++) {
        OK(lab_model_train(m, d->train.x, d->train.label, d->train.target, counts[s],
                           (uint64_t)s + 1, &o.loss[s], &o.correct[s], error));
        for (uint64_t i = 0; i < m->learned; i++) m->values[i] -= (lab_real)0.1 * m->grads[i];
    }
    OK(lab_model_eval(m, &d->train, &o.loss[2], &o.correct[2], error));
    const unsigned char *bytes = (const unsigned char *)m->values;
    for (size_t i = 0; i < m->all * sizeof(lab_real); i++)
        o.hash = (o.hash ^ bytes[i]) * 1099511628211u;
    assert_int_equal(lab_workers_count(m->workers), threads);
    lab_model_destroy(m);
    return o;
}

static void test_threads(void **state)
{
    static const uint32_t threads[] = { 2, 3, 7 };
    (void)state;
    lab_data table = make_data(300, 1, 1, 64, 10), images = make_data(300, 1, 12, 12, 0);
    static const char *const kinds[] = { "mlp", "cnn", "resnet" };
    for (int k = 0; k < 9; k++) {
        const char *kind = kinds[k % 3], *widths = k % 3 ? "8,8" : "256,64";
        const lab_data *d = k % 3 ? &images : &table;
        const outcome one = run_with(d, kind, widths, norms[k / 3], 1);
        for (int t = 0; t < 3; t++) {
            const outcome more = run_with(d, kind, widths, norms[k / 3], threads[t]);
            if (memcmp(&one, &more, sizeof one) != 0)
                fail_msg("%s with %s norm differs with %u threads", kind, norms[k / 3], threads[t]);
        }
    }
    free_data(&table);
    free_data(&images);
}

/* ---- learning --------------------------------------------------------------------------- */

static void check_overfits(const lab_data *d, const char *kind, const char *widths,
                           const char *norm)
{
    lab_model *m = make_model(d, kind, widths, norm, 0, 1);
    double loss = 0;
    uint64_t correct = 0;
    for (uint64_t step = 1; step <= 400; step++) {
        memset(m->grads, 0, m->learned * sizeof *m->grads);
        loss = train_once(m, d, step, &correct);
        const double rate = d->classes ? 0.5 : 0.01;
        for (uint64_t i = 0; i < m->learned; i++) m->values[i] -= (lab_real)rate * m->grads[i];
    }
    if (!(loss < 0.02) || correct != (d->classes ? d->train.count : 0))
        fail_msg("%s: the loss is %g and %llu are right", m->text, loss,
                 (unsigned long long)correct);
    lab_model_destroy(m);
}

static void test_overfits(void **state)
{
    (void)state;
    for (uint32_t classes = 0; classes <= 4; classes += 4) {
        lab_data d = make_data(32, 1, 8, 8, classes);
        check_overfits(&d, "logistic", NULL, NULL);
        check_overfits(&d, "mlp", NULL, "none");
        check_overfits(&d, "mlp", NULL, "layer");
        check_overfits(&d, "cnn", NULL, "batch");
        check_overfits(&d, "resnet", "4,8", "batch");
        free_data(&d);
    }
}

/* ---- refusals --------------------------------------------------------------------------- */

static void refuse(const lab_data *d, lab_model_config config, eden_status want, const char *part)
{
    lab_model *m = NULL;
    eden_error e = { 0, "" };
    const eden_status status = lab_model_create(&m, &config, d, &e);
    if (status != want || m || e.status != (uint32_t)want || !strstr(e.text, part))
        fail_msg("status %d for '%s': %s", status, part, e.text);
    assert_int_equal(lab_model_create(&m, &config, d, NULL), want);
}

static void test_refused_widths(void **state)
{
    static const struct {
        const char *widths, *part;
    } bad[] = { { "", "not whole numbers" },
                { "12,,3", "not whole numbers" },
                { "12,", "not whole numbers" },
                { ",12", "not whole numbers" },
                { "-3", "not whole numbers" },
                { "1e9", "not whole numbers" },
                { "12 ", "not whole numbers" },
                { "0x10", "not whole numbers" },
                { "12,0", "width 0" },
                { "65537", "largest" },
                { "99999999999999999999999999", "largest" },
                { "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "at most 16" },
                { "65536,65536", "more than 268435456 weights" } };
    (void)state;
    lab_data d = make_data(4, 1, 4, 4, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(&d, (lab_model_config){ "mlp", bad[i].widths, NULL, -1, 1, 1 }, EDEN_E_VALUE,
               bad[i].part);
    refuse(&d, (lab_model_config){ "cnn", "65536,65536", NULL, -1, 1, 1 }, EDEN_E_VALUE, "weights");
    refuse(&d, (lab_model_config){ "logistic", "12", NULL, -1, 1, 1 }, EDEN_E_VALUE, "choose mlp");
    refuse(&d, (lab_model_config){ "cnn", "2,2,2", NULL, -1, 1, 1 }, EDEN_E_SHAPE,
           "can be halved 2 times and not 3: give the cnn");
    refuse(&d, (lab_model_config){ "resnet", "2,2,2,2", NULL, -1, 1, 1 }, EDEN_E_SHAPE,
           "can be halved 2 times and not 3: give the resnet");
    lab_model_destroy(make_model(&d, "cnn", "2,2", NULL, -1, 1));
    lab_model_destroy(make_model(&d, "mlp", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "batch", 0.5, 1));
    free_data(&d);
}

static void test_refused_configs(void **state)
{
    static const double dropouts[] = { 1, 1.5, INFINITY, NAN };
    (void)state;
    lab_data d = make_data(4, 1, 4, 4, 2), table = make_data(4, 1, 1, 16, 2);
    refuse(&d, (lab_model_config){ "mpl", NULL, NULL, -1, 1, 1 }, EDEN_E_NAME,
           "logistic, mlp, cnn and resnet");
    refuse(&d, (lab_model_config){ NULL, NULL, NULL, -1, 1, 1 }, EDEN_E_ARGUMENT, "no kind");
    refuse(&d, (lab_model_config){ "mlp", NULL, "Batch", -1, 1, 1 }, EDEN_E_NAME, "'Batch'");
    refuse(&d, (lab_model_config){ "logistic", NULL, "batch", -1, 1, 1 }, EDEN_E_VALUE,
           "choose mlp");
    refuse(&table, (lab_model_config){ "cnn", NULL, NULL, -1, 1, 1 }, EDEN_E_SHAPE, "is a table");
    for (int i = 0; i < 4; i++)
        refuse(&d, (lab_model_config){ "mlp", NULL, NULL, dropouts[i], 1, 1 }, EDEN_E_VALUE,
               "dropout");
    d.train.label[2] = 2;
    refuse(&d, (lab_model_config){ "mlp", NULL, NULL, -1, 1, 1 }, EDEN_E_VALUE,
           "row 2 has the label 2");
    d.train.label[2] = 0;
    d.features = 15;
    refuse(&d, (lab_model_config){ "mlp", NULL, NULL, -1, 1, 1 }, EDEN_E_SHAPE, "rows of 15");
    free_data(&d);
    free_data(&table);
}

/* A refused batch leaves gradients and running statistics alone. */
static void test_refused_batches(void **state)
{
    (void)state;
    lab_data d = make_data(40, 1, 4, 4, 3);
    lab_model *m = make_model(&d, "cnn", "2", "batch", 0, 1);
    const float *x = d.train.x;
    const int32_t good[3] = { 0, 1, 2 }, low[3] = { 0, -1, 2 }, high[3] = { 0, 1, 3 };
    double loss = 7;
    uint64_t right = 7;
    eden_error e;
    assert_int_equal(lab_model_train(m, x, good, NULL, 0, 1, &loss, &right, &e), EDEN_E_ARGUMENT);
    assert_int_equal(lab_model_train(m, x, low, NULL, 3, 1, &loss, &right, &e), EDEN_E_VALUE);
    assert_int_equal(lab_model_train(m, x, high, NULL, 3, 1, &loss, &right, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "row 2 has the label 3"));
    assert_int_equal(lab_model_train(m, x, NULL, NULL, 3, 1, &loss, &right, &e), EDEN_E_ARGUMENT);
    assert_int_equal(lab_model_train(m, NULL, good, NULL, 3, 1, &loss, &right, &e),
                     EDEN_E_ARGUMENT);
    lab_split split = { 0, d.train.x, d.train.label, NULL };
    assert_int_equal(lab_model_eval(m, &split, &loss, &right, &e), EDEN_E_ARGUMENT);
    assert_true(loss == 7 && right == 7 && m->values[m->learned] == 0);
    for (uint64_t i = 0; i < m->learned; i++) assert_true(m->grads[i] == 0);
    /* What is not finite is a loss like any other, but does not stay in the model. */
    d.train.x[5] = NAN;
    OK(lab_model_train(m, x, good, NULL, 3, 1, &loss, &right, error));
    assert_true(isnan(loss) && right == 0 && m->values[m->learned] == 0);
    lab_model_destroy(m);
    lab_model_destroy(NULL);
    free_data(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),       cmocka_unit_test(test_accumulates),
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_overfits),
        cmocka_unit_test(test_refused_widths),  cmocka_unit_test(test_refused_configs),
        cmocka_unit_test(test_refused_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
