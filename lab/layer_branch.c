/* layer_branch.c - a residual: what goes into a branch is added to what comes out of it.
 * A fork stands before the branch and a sum behind it; each knows the other. */
#include "lab/layer.h"

#include <string.h>

/* The branch has written its gradient; what passed by it comes on top. */
static void fork_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    batch->loops->add(l->d_out + first, l->other->d_out + first, block->rows * size);
}

static void sum_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), first = block->first * size;
    batch->loops->sum(l->out + first, l->other->out + first, l->in + first, block->rows * size);
}

static void sum_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    (void)batch;
    memcpy(l->d_in + block->first * size, l->d_out + block->first * size,
           block->rows * size * sizeof *l->d_in);
}

static const lab_layer_kind fork_kind = { .backward = fork_backward, .in_place = 1 };
static const lab_layer_kind sum_kind = { .forward = sum_forward, .backward = sum_backward };

void lab_fork(lab_layer *l, lab_shape in)
{
    l->kind = &fork_kind;
    l->in_shape = l->out_shape = in;
    l->work = lab_size(in);
}

void lab_residual(lab_layer *l, lab_layer *fork)
{
    l->kind = &sum_kind;
    l->in_shape = l->out_shape = fork->in_shape;
    l->work = lab_size(l->in_shape);
    l->other = fork;
    fork->other = l;
}
