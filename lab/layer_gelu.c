/* layer_gelu.c - x times the chance that a normal number is below x, in its form by the
 * hyperbolic tangent (Hendrycks and Gimpel, 2016), which is x sigmoid(2 u) with
 * u = sqrt(2 / pi) (x + 0.044715 x^3). */
#include "lab/fast.h"
#include "lab/layer.h"

#define ROOT 0.797884560802865356
#define CUBE 0.044715

static void values(lab_real *restrict y, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const lab_real x = y[i], twice = (lab_real)(2 * ROOT) * x * (1 + (lab_real)CUBE * x * x);
        y[i] = x / (1 + lab_exp(-twice));
    }
}

/* The same with the slope, s + x s (1 - s) 2 u', for backward. */
static void values_and_slopes(lab_real *restrict y, lab_real *restrict slope, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const lab_real x = y[i], square = x * x;
        const lab_real twice = (lab_real)(2 * ROOT) * x * (1 + (lab_real)CUBE * square);
        const lab_real s = 1 / (1 + lab_exp(-twice));
        const lab_real steep = (lab_real)(2 * ROOT) * (1 + (lab_real)(3 * CUBE) * square);
        y[i] = x * s;
        slope[i] = s + x * s * (1 - s) * steep;
    }
}

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    if (batch->training)
        values_and_slopes(l->out + first, (lab_real *)l->kept + first, block->rows * size);
    else
        values(l->out + first, block->rows * size);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), n = block->rows * size;
    const lab_real *restrict slope = (const lab_real *)l->kept + block->first * size;
    lab_real *restrict d = l->d_out + block->first * size;
    (void)batch;
    for (uint64_t i = 0; i < n; i++) d[i] *= slope[i];
}

static const lab_layer_kind gelu = { .forward = forward, .backward = backward, .in_place = 1 };

void lab_gelu(lab_layer *l, lab_shape in)
{
    l->kind = &gelu;
    l->in_shape = l->out_shape = in;
    l->kept_bytes = lab_size(in) * sizeof(lab_real);
    l->work = 8 * lab_size(in);
}
