/* test_gan.c - the losses of generator and discriminator, by central differences through
 * both networks in the build where LAB_REAL is double; and the Frechet distance where it
 * is known. */
#include "lab/gan.h"

#include <math.h>

#include "lab/frechet.h"
#include "model_data.h"

enum { ROWS = 37, PIXELS = 6, CLASSES = 3, NOISE = 4 };

static float images[ROWS * PIXELS];
static int32_t label[ROWS], wanted[ROWS];

static int set_up(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < ROWS * PIXELS; i++) images[i] = (float)lab_random_uniform(51, i);
    for (uint64_t i = 0; i < ROWS; i++) {
        label[i] = (int32_t)lab_random_below(52, i, CLASSES);
        wanted[i] = (int32_t)lab_random_below(53, i, CLASSES);
    }
    return 0;
}

static lab_gan make(double dropout)
{
    lab_gan gan;
    const lab_gan_config c = { PIXELS, CLASSES, NOISE, ROWS, "7,5", dropout, 5, 2 };
    OK(lab_gan_create(&gan, &c, error));
    shake(gan.generator);
    shake(gan.discriminator);
    return gan;
}

/* ---- gradients ------------------------------------------------------------------------ */

typedef double loss_function(lab_gan *gan);

static double generator_loss(lab_gan *gan)
{
    double loss;
    OK(lab_gan_make(gan, 9, 3, wanted, ROWS, error));
    OK(lab_gan_learn_generator(gan, ROWS, 3, &loss, error));
    return loss;
}

/* What was made is shown in float, so that it is made once, before. */
static double discriminator_loss(lab_gan *gan)
{
    double loss;
    OK(lab_gan_learn_discriminator(gan, images, label, ROWS, 3, &loss, error));
    return loss;
}

static void check_weight(lab_gan *gan, const lab_tensor *t, uint64_t i, double have,
                         loss_function *loss)
{
    const lab_real was = t->value[i];
    t->value[i] = was + (lab_real)1e-6;
    const double above = loss(gan);
    t->value[i] = was - (lab_real)1e-6;
    const double below = loss(gan), want = (above - below) / 2e-6;
    t->value[i] = was;
    if (!(fabs(have - want) <= 1e-7 * fmax(1, fabs(want))))
        fail_msg("%s[%llu] has a gradient of %.17g instead of %.17g", t->name, (unsigned long long)i,
                 have, want);
}

/* One network's gradients are right, and the other's were left alone. */
static void check_gradients(lab_gan *gan, lab_model *m, const lab_model *other, loss_function *loss)
{
    double top = 0;
    lab_real *grads = calloc(m->learned, sizeof *grads);
    assert_non_null(grads);
    memset(m->grads, 0, m->learned * sizeof *m->grads);
    memset(other->grads, 0, other->learned * sizeof *other->grads);
    loss(gan);
    memcpy(grads, m->grads, m->learned * sizeof *grads);
    for (uint64_t i = 0; i < other->learned; i++) assert_true(other->grads[i] == 0);
    for (uint32_t l = 0; l < m->layers; l++)
        for (uint32_t k = 0; k < m->layer[l].tensors; k++) {
            const lab_tensor *t = &m->layer[l].tensor[k];
            for (uint64_t i = 0; i < t->count; i++) {
                top = fmax(top, fabs((double)grads[t->offset + i]));
                check_weight(gan, t, i, (double)grads[t->offset + i], loss);
            }
        }
    assert_true(top > 1e-2);
    free(grads);
}

static void test_generator(void **state)
{
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        lab_gan gan = make(dropped ? 0.3 : 0);
        check_gradients(&gan, gan.generator, gan.discriminator, generator_loss);
        lab_gan_free(&gan);
    }
}

static void test_discriminator(void **state)
{
    (void)state;
    for (int dropped = 0; dropped < 2; dropped++) {
        lab_gan gan = make(dropped ? 0.3 : 0);
        OK(lab_gan_make(&gan, 9, 3, wanted, ROWS, error));
        check_gradients(&gan, gan.discriminator, gan.generator, discriminator_loss);
        lab_gan_free(&gan);
    }
}

/* Both losses from the discriminator's outputs, as the paper writes them. */
static void test_losses(void **state)
{
    (void)state;
    lab_gan gan = make(0);
    const lab_real *z;
    double apart = 0, taken = 0;
    OK(lab_gan_make(&gan, 9, 3, wanted, ROWS, error));
    const double have_apart = discriminator_loss(&gan);
    OK(lab_model_outputs(gan.discriminator, gan.shown, 2 * ROWS, &z, error));
    for (int r = 0; r < 2 * ROWS; r++) {
        const double chance = 1 / (1 + exp(-(double)z[r]));
        apart -= log(r < ROWS ? chance : 1 - chance) / (2 * ROWS);
        taken -= r < ROWS ? 0 : log(chance) / ROWS;
    }
    assert_true(fabs(have_apart - apart) < 1e-12);
    assert_true(fabs(generator_loss(&gan) - taken) < 1e-6); /* shown in float above */
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < PIXELS; i++) {
            const float *at = gan.shown + r * (PIXELS + CLASSES);
            assert_true(at[i] == 2 * images[r * PIXELS + i] - 1);
            assert_true(at[PIXELS + label[r]] == 1);
        }
    lab_gan_free(&gan);
}

/* Noise is normal, and another row is another image. */
static void test_noise(void **state)
{
    (void)state;
    lab_gan gan = make(0);
    double sum = 0, squares = 0, fourth = 0;
    enum { TIMES = 300 };
    for (uint64_t k = 0; k < TIMES; k++) {
        OK(lab_gan_make(&gan, 9, k * ROWS, wanted, ROWS, error));
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < NOISE; i++) {
                const double v = (double)gan.input[r * (NOISE + CLASSES) + i];
                sum += v, squares += v * v, fourth += v * v * v * v;
            }
    }
    const double n = (double)(TIMES * ROWS * NOISE);
    assert_true(fabs(sum / n) < 0.02 && fabs(squares / n - 1) < 0.03 && fabs(fourth / n - 3) < 0.2);
    lab_gan_free(&gan);
}

/* ---- the distance -------------------------------------------------------------------- */

/* Of 2 x 2 matrices: tr (A B)^(1/2) = sqrt(tr A B + 2 sqrt(det A det B)). */
static void test_distance_of_two(void **state)
{
    (void)state;
    const double m1[] = { 1, -2 }, m2[] = { 0.5, 1 };
    const double a[] = { 2, 0.6, 0.6, 1 }, b[] = { 0.5, -0.3, -0.3, 3 };
    const double trace = 2 * 0.5 + 0.6 * -0.3 + 0.6 * -0.3 + 1 * 3;
    const double dets = (2 * 1 - 0.36) * (0.5 * 3 - 0.09);
    const double want = 0.25 + 9 + 3 + 3.5 - 2 * sqrt(trace + 2 * sqrt(dets));
    assert_true(fabs(lab_frechet(2, m1, a, m2, b) - want) < 1e-12);
    assert_true(fabs(lab_frechet(2, m2, b, m1, a) - want) < 1e-12);
    assert_true(lab_frechet(2, m1, a, m1, a) < 1e-12);
}

/* Two matrices with the same eigenvectors, of which some eigenvalues are 0: the sum of
 * (sqrt(a) - sqrt(b))^2. The vectors are a reflection's, I - 2 v v'. */
static void test_distance_of_many(void **state)
{
    enum { N = 20 };
    (void)state;
    double v[N], length = 0, want = 0, mean[N] = { 0 }, a[N * N] = { 0 }, b[N * N] = { 0 };
    for (uint64_t i = 0; i < N; i++) v[i] = noise(61, i), length += v[i] * v[i];
    for (uint64_t e = 0; e < N; e++) {
        const double x = e % 5 ? 3 * lab_random_uniform(62, e) : 0;
        const double y = e % 7 ? 3 * lab_random_uniform(63, e) : 0;
        want += (sqrt(x) - sqrt(y)) * (sqrt(x) - sqrt(y));
        for (uint64_t i = 0; i < N; i++)
            for (uint64_t k = 0; k < N; k++) {
                const double p = (i == e) - 2 * v[i] * v[e] / length;
                const double q = (k == e) - 2 * v[k] * v[e] / length;
                a[i * N + k] += x * p * q;
                b[i * N + k] += y * p * q;
            }
    }
    const double have = lab_frechet(N, mean, a, mean, b);
    if (!(fabs(have - want) < 1e-6)) fail_msg("%.12g instead of %.12g", have, want);
}

static void test_moments(void **state)
{
    (void)state;
    const lab_real x[] = { 1, 2, 3, 6, 5, 1 };
    double mean[2], c[4];
    lab_moments(x, 3, 2, mean, c);
    assert_true(fabs(mean[0] - 3) < 1e-15 && fabs(mean[1] - 3) < 1e-15);
    assert_true(fabs(c[0] - 4) < 1e-15 && fabs(c[1] + 1) < 1e-15 && fabs(c[3] - 7) < 1e-15);
    assert_true(c[1] == c[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator),       cmocka_unit_test(test_discriminator),
        cmocka_unit_test(test_losses),          cmocka_unit_test(test_noise),
        cmocka_unit_test(test_distance_of_two), cmocka_unit_test(test_distance_of_many),
        cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, set_up, NULL); /* LAB_REAL is double */
}
