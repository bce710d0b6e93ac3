/* layer_average_pool.c - the mean of each channel over its plane. */
#include "lab/layer.h"

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t channels = l->in_shape.channels, plane = lab_plane(l->in_shape);
    const uint64_t first = block->first * channels, n = block->rows * channels;
    (void)batch;
    for (uint64_t i = first; i < first + n; i++)
        l->out[i] = (lab_real)(lab_sum(l->in + i * plane, plane) / (double)plane);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t channels = l->in_shape.channels, plane = lab_plane(l->in_shape);
    const uint64_t first = block->first * channels, n = block->rows * channels;
    (void)batch;
    if (!l->d_in) return;
    for (uint64_t i = first; i < first + n; i++) {
        const lab_real share = l->d_out[i] / (lab_real)plane;
        for (uint64_t p = 0; p < plane; p++) l->d_in[i * plane + p] = share;
    }
}

static const lab_layer_kind average_pool = { .forward = forward, .backward = backward };

void lab_average_pool(lab_layer *l, lab_shape in)
{
    l->kind = &average_pool;
    l->in_shape = in;
    l->out_shape = (lab_shape){ in.channels, 1, 1 };
    l->work = lab_size(in);
}
