#include "lab/gan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/network.h"
#include "lab/random.h"

/* ---- losses ------------------------------------------------------------------------ */

/* What the losses of a batch are told. */
typedef struct {
    uint64_t images;        /* rows before this one are images                  */
    const lab_real *slopes; /* of the mean loss by what was made                */
    uint64_t stride, pixels;
    double rows;
} told;

/* log(1 + e^z) and its slope. */
static double softplus(double z) { return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)); }
static double sigmoid(double z) { return z > 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

/* -log D for an image, -log (1 - D) for what was made. */
static double tell_apart(const void *context, uint64_t row, const lab_real *z, lab_real *d)
{
    const told *t = context;
    const int image = row < t->images;
    const double sign = image ? -1 : 1, at = sign * (double)z[0];
    if (d) d[0] = (lab_real)(sign * sigmoid(at));
    return softplus(at);
}

/* -log D for what was made. */
static double be_taken(const void *context, uint64_t row, const lab_real *z, lab_real *d)
{
    (void)context;
    (void)row;
    if (d) d[0] = (lab_real)-sigmoid(-(double)z[0]);
    return softplus(-(double)z[0]);
}

/* Any loss with the slopes that are told. */
static double follow(const void *context, uint64_t row, const lab_real *z, lab_real *d)
{
    const told *t = context;
    const lab_real *slope = t->slopes + row * t->stride;
    (void)z;
    for (uint64_t i = 0; d && i < t->pixels; i++) d[i] = (lab_real)(t->rows * (double)slope[i]);
    return 0;
}

/* ---- creating ----------------------------------------------------------------------- */

eden_status lab_gan_create(lab_gan *gan, const lab_gan_config *c, eden_error *error)
{
    *gan = (lab_gan){ .config = *c };
    const uint64_t behind = c->noise + c->classes, shown = c->pixels + c->classes;
    lab_network_config n = { .name = "generator", .in = behind, .out = c->pixels,
                             .widths = c->widths, .between = LAB_RELU, .bounded = 1, .last = 1,
                             .seed = c->seed, .threads = c->threads };
    eden_status status = lab_network_create(&gan->generator, &n, error);
    n = (lab_network_config){ .name = "discriminator", .in = shown, .out = 1, .widths = c->widths,
                              .between = LAB_LEAKY_RELU, .slopes = 1, .last = 1,
                              .dropout = c->dropout, .seed = c->seed, .threads = c->threads };
    if (!status) status = lab_network_create(&gan->discriminator, &n, error);
    if (status) return status;
    gan->input = calloc((size_t)c->rows, (size_t)behind * sizeof *gan->input);
    gan->shown = calloc((size_t)c->rows, (size_t)shown * 2 * sizeof *gan->shown);
    gan->made = calloc((size_t)c->rows, (size_t)shown * sizeof *gan->made);
    if (gan->input && gan->shown && gan->made) return EDEN_OK;
    return lab_fail(error, EDEN_E_MEMORY, "no memory for a batch of %llu images",
                    (unsigned long long)c->rows);
}

void lab_gan_free(lab_gan *gan)
{
    lab_model_destroy(gan->generator);
    lab_model_destroy(gan->discriminator);
    free(gan->input);
    free(gan->shown);
    free(gan->made);
    *gan = (lab_gan){ .input = NULL };
}

/* ---- making and learning --------------------------------------------------------------- */

/* Number `i` of a stream, of mean 0 and variance 1 (Box and Muller, 1958). */
static double normal(uint64_t key, uint64_t i)
{
    const double u = 1 - lab_random_uniform(key, 2 * i), v = lab_random_uniform(key, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(6.28318530717958647692 * v);
}

eden_status lab_gan_make(lab_gan *gan, uint64_t key, uint64_t first, const int32_t *label,
                         uint64_t rows, eden_error *error)
{
    const lab_gan_config *c = &gan->config;
    const uint64_t stride = c->pixels + c->classes;
    const lab_real *images;
    for (uint64_t r = 0; r < rows; r++) {
        float *at = gan->input + r * (c->noise + c->classes);
        for (uint64_t i = 0; i < c->noise; i++)
            at[i] = (float)normal(key, (first + r) * c->noise + i);
        for (uint64_t i = 0; i < c->classes; i++) at[c->noise + i] = i == (uint64_t)label[r];
    }
    const eden_status status = lab_model_outputs(gan->generator, gan->input, rows, &images, error);
    if (status) return status;
    for (uint64_t r = 0; r < rows; r++) {
        lab_real *at = gan->made + r * stride;
        memcpy(at, images + r * c->pixels, c->pixels * sizeof *at);
        for (uint64_t i = 0; i < c->classes; i++) at[c->pixels + i] = i == (uint64_t)label[r];
    }
    return EDEN_OK;
}

eden_status lab_gan_learn_discriminator(lab_gan *gan, const float *images, const int32_t *label,
                                        uint64_t rows, uint64_t step, double *loss,
                                        eden_error *error)
{
    const lab_gan_config *c = &gan->config;
    const uint64_t stride = c->pixels + c->classes;
    const told t = { .images = rows };
    uint64_t right;
    for (uint64_t r = 0; r < rows; r++) {
        float *at = gan->shown + r * stride, *beside = gan->shown + (rows + r) * stride;
        for (uint64_t i = 0; i < c->pixels; i++) at[i] = 2 * images[r * c->pixels + i] - 1;
        for (uint64_t i = 0; i < c->classes; i++) at[c->pixels + i] = i == (uint64_t)label[r];
        for (uint64_t i = 0; i < stride; i++) beside[i] = (float)gan->made[r * stride + i];
    }
    lab_network_loss(gan->discriminator, tell_apart, &t);
    lab_model_part(gan->discriminator, 0, 2 * gan->over, NULL);
    return lab_model_train(gan->discriminator, gan->shown, NULL, NULL, 2 * rows, step, loss, &right,
                           error);
}

eden_status lab_gan_learn_generator(lab_gan *gan, uint64_t rows, uint64_t step, double *loss,
                                    eden_error *error)
{
    const lab_gan_config *c = &gan->config;
    told t = { .stride = c->pixels + c->classes, .pixels = c->pixels, .rows = gan->over > 0 ? gan->over : (double)rows };
    double none;
    uint64_t right;
    lab_network_loss(gan->discriminator, be_taken, NULL);
    lab_model_part(gan->discriminator, 0, gan->over, NULL);
    lab_model_part(gan->generator, 0, gan->over, NULL);
    const eden_status status = lab_model_slopes(gan->discriminator, gan->made, rows, step, loss,
                                                &t.slopes, error);
    if (status) return status;
    lab_network_loss(gan->generator, follow, &t);
    return lab_model_train(gan->generator, gan->input, NULL, NULL, rows, step, &none, &right, error);
}
