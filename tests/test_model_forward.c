/* test_model_forward.c - what the networks compute, against loops written down
 * once more without blocks, products or reordering; in the build where LAB_REAL is
 * double. */
#include "lab/data.h"
#include "model_data.h"

#include <math.h>

/* ---- the same networks in plain loops --------------------------------------------------- */

/* A batch of images between two layers. */
typedef struct {
    uint64_t rows, channels, height, width;
    double *at;
} values;

static values new_values(uint64_t rows, uint64_t channels, uint64_t height, uint64_t width)
{
    const values v = { rows, channels, height, width,
                       calloc(rows * channels * height * width, sizeof(double)) };
    return v;
}

static double *cell(const values *v, uint64_t r, uint64_t c, uint64_t y, uint64_t x)
{
    return &v->at[((r * v->channels + c) * v->height + y) * v->width + x];
}

static const lab_real *weight(lab_model *m, const char *stem, unsigned number, const char *part)
{
    char name[64];
    snprintf(name, sizeof name, "%s%u.%s", stem, number, part);
    const lab_tensor *t = find_tensor(m, name);
    return t ? t->value : NULL;
}

static void convolve(lab_model *m, values *v, unsigned number, uint64_t out)
{
    const lab_real *w = weight(m, "conv", number, "weight"), *b = weight(m, "conv", number, "bias");
    values y = new_values(v->rows, out, v->height, v->width);
    for (uint64_t i = 0; i < y.rows * out * y.height * y.width; i++) {
        const uint64_t px = i % y.width, py = i / y.width % y.height;
        const uint64_t c = i / (y.width * y.height) % out, r = i / (y.width * y.height * out);
        y.at[i] = b ? (double)b[c] : 0;
        for (uint64_t k = 0; k < v->channels * 9; k++) {
            const int64_t sy = (int64_t)(py + k % 9 / 3) - 1, sx = (int64_t)(px + k % 3) - 1;
            if (sy < 0 || sx < 0 || sy >= (int64_t)v->height || sx >= (int64_t)v->width) continue;
            y.at[i] += (double)w[c * v->channels * 9 + k] *
                       *cell(v, r, k / 9, (uint64_t)sy, (uint64_t)sx);
        }
    }
    free(v->at);
    *v = y;
}

static void connect(lab_model *m, values *v, unsigned number, uint64_t out)
{
    const lab_real *w = weight(m, "layer", number, "weight");
    const lab_real *b = weight(m, "layer", number, "bias");
    const uint64_t in = v->channels * v->height * v->width;
    values y = new_values(v->rows, out, 1, 1);
    for (uint64_t r = 0; r < v->rows; r++)
        for (uint64_t o = 0; o < out; o++) {
            y.at[r * out + o] = b ? (double)b[o] : 0;
            for (uint64_t i = 0; i < in; i++)
                y.at[r * out + o] += (double)w[o * in + i] * v->at[r * in + i];
        }
    free(v->at);
    *v = y;
}

/* Normalize over rows and plane of a channel, or over channels and plane of a row;
 * for `running`, batch normalization with what is remembered. */
static void normalize(lab_model *m, values *v, unsigned number, const char *norm, int running)
{
    const lab_real *scale = weight(m, "norm", number, "scale");
    const lab_real *shift = weight(m, "norm", number, "shift");
    const uint64_t plane = v->height * v->width, all = v->rows * v->channels * plane;
    const int batch = strcmp(norm, "batch") == 0;
    if (strcmp(norm, "none") == 0) return;
    for (uint64_t g = 0; g < (batch ? v->channels : v->rows); g++) {
        double sum = 0, squares = 0, n = 0;
#define IN_GROUP(i) ((batch ? (i) / plane % v->channels : (i) / plane / v->channels) == g)
        for (uint64_t i = 0; i < all; i++)
            if (IN_GROUP(i)) sum += v->at[i], n++;
        double mean = running ? (double)weight(m, "norm", number, "mean")[g] : sum / n;
        for (uint64_t i = 0; i < all; i++)
            if (IN_GROUP(i)) squares += (v->at[i] - mean) * (v->at[i] - mean);
        const double variance =
            running ? (double)weight(m, "norm", number, "variance")[g] : squares / n;
        for (uint64_t i = 0; i < all; i++) {
            const uint64_t c = i / plane % v->channels;
            if (IN_GROUP(i))
                v->at[i] = (v->at[i] - mean) / sqrt(variance + 1e-5) * (double)scale[c] +
                           (double)shift[c];
        }
    }
}

static void rectify_and_pool(values *v, int pool)
{
    for (uint64_t i = 0; i < v->rows * v->channels * v->height * v->width; i++)
        v->at[i] = fmax(v->at[i], 0);
    if (!pool) return;
    values y = new_values(v->rows, v->channels, v->height / 2, v->width / 2);
    for (uint64_t r = 0; r < y.rows; r++)
        for (uint64_t c = 0; c < y.channels; c++)
            for (uint64_t i = 0; i < y.height * y.width; i++) {
                const uint64_t py = 2 * (i / y.width), px = 2 * (i % y.width);
                *cell(&y, r, c, i / y.width, i % y.width) =
                    fmax(fmax(*cell(v, r, c, py, px), *cell(v, r, c, py, px + 1)),
                         fmax(*cell(v, r, c, py + 1, px), *cell(v, r, c, py + 1, px + 1)));
            }
    free(v->at);
    *v = y;
}

static double loss_of(const values *v, const lab_data *d, uint64_t *correct)
{
    double loss = 0;
    *correct = 0;
    for (uint64_t r = 0; r < v->rows; r++) {
        const double *z = v->at + r * v->channels;
        double sum = 0;
        uint64_t best = 0;
        for (uint64_t i = 0; i < v->channels; i++) {
            sum += exp(z[i]);
            if (z[i] > z[best]) best = i;
        }
        loss += d->classes ? -log(exp(z[d->train.label[r]]) / sum)
                           : pow(z[0] - (double)d->train.target[r], 2);
        *correct += d->classes && best == (uint64_t)d->train.label[r];
    }
    return loss / (double)v->rows;
}

/* widths[] ends with 0. */
static double plain_loss(lab_model *m, const lab_data *d, int is_cnn, const uint64_t *widths,
                         const char *norm, int running, uint64_t *correct)
{
    values v = new_values(d->train.count, d->channels, d->height, d->width);
    unsigned number = 0;
    for (uint64_t i = 0; i < d->train.count * d->features; i++) v.at[i] = (double)d->train.x[i];
    for (; widths[number]; number++) {
        if (is_cnn) convolve(m, &v, number + 1, widths[number]);
        else connect(m, &v, number + 1, widths[number]);
        normalize(m, &v, number + 1, norm, running);
        rectify_and_pool(&v, is_cnn);
    }
    connect(m, &v, is_cnn ? 1 : number + 1, d->classes ? d->classes : 1);
    const double loss = loss_of(&v, d, correct);
    free(v.at);
    return loss;
}

/* ---- the comparison ------------------------------------------------------------------------ */

static void same(const lab_model *m, double have, double want, uint64_t right, uint64_t right_want)
{
    if (!(fabs(have - want) <= 1e-12 * fmax(1, fabs(want))) || right != right_want)
        fail_msg("%s: a loss of %.17g instead of %.17g, %llu right instead of %llu", m->text, have,
                 want, (unsigned long long)right, (unsigned long long)right_want);
}

/* Training and evaluation agree with the loops, and with each other where no layer
 * tells them apart. */
static void check_forward(const lab_data *d, const char *kind, const char *norm)
{
    static const uint64_t none[] = { 0 }, two[] = { 4, 3, 0 };
    const int is_cnn = strcmp(kind, "cnn") == 0, is_logistic = strcmp(kind, "logistic") == 0;
    const uint64_t *widths = is_logistic ? none : two;
    lab_model *m = make_model(d, kind, is_logistic ? NULL : "4,3", norm, 0, 2);
    uint64_t right, want_right;
    shake(m);
    for (uint64_t step = 1; step <= 3; step++) {
        const double want = plain_loss(m, d, is_cnn, widths, norm, 0, &want_right);
        const double loss = train_once(m, d, step, &right);
        same(m, loss, want, right, want_right);
    }
    const int batch = strcmp(norm, "batch") == 0;
    const double want = plain_loss(m, d, is_cnn, widths, norm, batch, &want_right);
    double loss;
    OK(lab_model_eval(m, &d->train, &loss, &right, error));
    same(m, loss, want, right, want_right);
    const double trained = train_once(m, d, 9, &right);
    if (batch) assert_true(fabs(trained - loss) > 1e-6);
    else same(m, trained, loss, right, want_right);
    lab_model_destroy(m);
}

static void test_forward(void **state)
{
    (void)state;
    for (uint32_t classes = 0; classes <= 3; classes += 3) {
        lab_data table = make_data(300, 1, 1, 7, classes), images = make_data(75, 2, 7, 5, classes);
        lab_data large = make_data(9, 1, 18, 18, classes);
        check_forward(&table, "logistic", "none");
        for (int i = 0; i < 3; i++) {
            const char *norm = i == 0 ? "none" : i == 1 ? "batch" : "layer";
            check_forward(&table, "mlp", norm);
            check_forward(&images, "cnn", norm);
            check_forward(&large, "cnn", norm);
        }
        free_data(&table);
        free_data(&images);
        free_data(&large);
    }
}

/* After n equal batches the running mean is 1 - 0.9^n of the batch's. */
static void test_running_statistics(void **state)
{
    (void)state;
    lab_data d = make_data(50, 1, 1, 6, 2);
    lab_model *m = make_model(&d, "mlp", "3", "batch", 0, 1);
    const lab_real *w = weight(m, "layer", 1, "weight");
    uint64_t right;
    for (uint64_t step = 1; step <= 5; step++) train_once(m, &d, step, &right);
    for (uint64_t c = 0; c < 3; c++) {
        double z[50], mean = 0, variance = 0;
        for (uint64_t r = 0; r < 50; r++) {
            z[r] = 0;
            for (uint64_t i = 0; i < 6; i++)
                z[r] += (double)w[c * 6 + i] * (double)d.train.x[r * 6 + i];
            mean += z[r] / 50;
        }
        for (uint64_t r = 0; r < 50; r++) variance += (z[r] - mean) * (z[r] - mean) / 49;
        const double kept = pow(0.9, 5);
        assert_true(fabs((double)weight(m, "norm", 1, "mean")[c] - (1 - kept) * mean) < 1e-12);
        assert_true(fabs((double)weight(m, "norm", 1, "variance")[c] -
                         (kept + (1 - kept) * variance)) < 1e-12);
    }
    lab_model_destroy(m);
    free_data(&d);
}

/* ---- random numbers -------------------------------------------------------------------------- */

/* Dropout of a model whose output is the sum of what is left. */
static void test_dropout(void **state)
{
    (void)state;
    lab_data d = make_data(200, 1, 1, 50, 0);
    for (uint64_t i = 0; i < 200 * 50; i++) d.train.x[i] = 1;
    lab_model *m = make_model(&d, "logistic", NULL, NULL, 0.25, 1);
    for (uint64_t i = 0; i < 50; i++) find_tensor(m, "layer1.weight")->value[i] = 1;
    uint64_t right;
    double sum = 0, losses[3];
    for (uint64_t i = 0; i < 3; i++) losses[i] = train_once(m, &d, i == 2 ? 1 : i + 1, &right);
    assert_true(losses[0] == losses[2] && losses[0] != losses[1]);
    const lab_real *out = m->layer[m->layers - 1].in;
    for (uint64_t r = 0; r < 200; r++) {
        const double kept = (double)out[r] * 0.75;
        assert_true(fabs(kept - round(kept)) < 1e-9 && kept < 50);
        assert_true(r == 0 || r == 199 || out[r] != out[r - 1] || out[r] != out[r + 1]);
        sum += kept;
    }
    /* Of 10,000 a standard deviation is 43. */
    if (!(fabs(sum - 7500) < 150)) fail_msg("%g of 10000 kept", sum);
    double loss;
    OK(lab_model_eval(m, &d.train, &loss, &right, error));
    for (uint64_t r = 0; r < 200; r++)
        assert_true(fabs((double)m->layer[m->layers - 1].in[r] - 50) < 1e-9);
    lab_model_destroy(m);
    free_data(&d);
}

/* The vectors of the paper's own library. */
static void test_random(void **state)
{
    static const struct {
        uint64_t key;
        uint32_t counter[4], words[4];
    } known[] = {
        { 0, { 0, 0, 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX, { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822, { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint32_t words[4];
        lab_random_words(known[i].key, known[i].counter, words);
        assert_memory_equal(words, known[i].words, sizeof words);
    }
}

/* Weights are a function of the seed, and have the variance He et al. ask for. */
static void test_start(void **state)
{
    (void)state;
    lab_data d = make_data(4, 1, 10, 10, 3);
    lab_model *m = make_model(&d, "mlp", "100", "none", 0, 1);
    lab_model *again = make_model(&d, "mlp", "100", "none", 0.5, 3);
    assert_memory_equal(m->values, again->values, m->all * sizeof(lab_real));
    const lab_tensor *w = find_tensor(m, "layer1.weight");
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < w->count; i++) {
        sum += (double)w->value[i];
        squares += (double)w->value[i] * (double)w->value[i];
    }
    assert_true(fabs(sum / 1e4) < 0.006 && fabs(squares / 1e4 - 0.02) < 0.001);
    for (uint64_t i = 0; i < 100; i++) assert_true(find_tensor(m, "layer1.bias")->value[i] == 0);
    const lab_model_config other = { "mlp", "100", "none", 0, 6, 1 };
    lab_model_destroy(again);
    OK(lab_model_create(&again, &other, &d, error));
    assert_true(find_tensor(again, "layer1.weight")->value[0] != w->value[0]);
    lab_model_destroy(again);
    lab_model_destroy(m);
    free_data(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward), cmocka_unit_test(test_running_statistics),
        cmocka_unit_test(test_dropout), cmocka_unit_test(test_random),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
