/* layer_gelu.c - GELU, in place; what backward multiplies by is kept. */
#include "lab/layer.h"

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    if (batch->training)
        batch->loops->gelu_slopes(l->out + first, (lab_real *)l->kept + first, block->rows * size);
    else
        batch->loops->gelu(l->out + first, block->rows * size);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    batch->loops->multiply(l->d_out + first, (const lab_real *)l->kept + first, block->rows * size);
}

static const lab_layer_kind gelu = { .forward = forward, .backward = backward, .in_place = 1 };

void lab_gelu(lab_layer *l, lab_shape in)
{
    l->kind = &gelu;
    l->in_shape = l->out_shape = in;
    l->kept_bytes = lab_size(in) * sizeof(lab_real);
    l->work = 8 * lab_size(in);
}
