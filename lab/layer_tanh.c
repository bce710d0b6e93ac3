/* layer_tanh.c - the hyperbolic tangent, in place: backward needs only what came out. */
#include "lab/layer.h"

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    batch->loops->tanh(l->out + block->first * size, block->rows * size);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    batch->loops->tanh_back(l->d_out + first, l->out + first, block->rows * size);
}

static const lab_layer_kind tanh_kind = { .forward = forward, .backward = backward, .in_place = 1 };

void lab_tanh(lab_layer *l, lab_shape in)
{
    l->kind = &tanh_kind;
    l->in_shape = l->out_shape = in;
    l->work = 8 * lab_size(in);
}
