/* layer_loss.c - what is minimized, the mean over a batch, with its gradient. */
#include "lab/layer.h"

#include <math.h>
#include <string.h>

/* Softmax and cross-entropy in one: the largest value is taken off first, so that
 * nothing overflows. The sum is in the batch's loss, and in training the gradient
 * of the mean is in d_in. */
static void cross_entropy_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t n = lab_size(l->in_shape);
    double loss = 0;
    uint64_t correct = 0;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const lab_real *z = l->in + r * n;
        const uint64_t label = (uint64_t)batch->label[r];
        uint64_t best = 0;
        for (uint64_t i = 1; i < n; i++)
            if (z[i] > z[best]) best = i;
        const double top = (double)z[best];
        double sum = 0;
        for (uint64_t i = 0; i < n; i++) sum += exp((double)z[i] - top);
        loss += log(sum) + top - (double)z[label];
        correct += best == label && sum >= 1;
        if (!batch->training) continue;
        lab_real *d = l->d_in + r * n;
        for (uint64_t i = 0; i < n; i++)
            d[i] = (lab_real)((exp((double)z[i] - top) / sum - (i == label)) /
                              batch->over);
    }
    batch->loss[block->index] = loss;
    batch->correct[block->index] = correct;
}

/* The same for many classes, in loops that vectorize. Of classes equally likely all count
 * as right. */
static void wide_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t n = lab_size(l->in_shape);
    double loss = 0;
    uint64_t correct = 0;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const lab_real *z = l->in + r * n;
        lab_real *d = batch->training ? l->d_in + r * n : block->scratch;
        const uint64_t label = (uint64_t)batch->label[r];
        const lab_real top = lab_largest(z, n);
        memcpy(d, z, n * sizeof *d);
        batch->loops->exponentials(d, n, top, 1);
        const double sum = lab_sum(d, n);
        loss += log(sum) + (double)top - (double)z[label];
        correct += z[label] >= top;
        if (!batch->training) continue;
        batch->loops->scale(d, n, (lab_real)(1 / (sum * batch->over)));
        d[label] -= (lab_real)(1 / batch->over);
    }
    batch->loss[block->index] = loss;
    batch->correct[block->index] = correct;
}

static void squared_error_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    double loss = 0;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const double error = (double)l->in[r] - (double)batch->target[r];
        loss += error * error;
        if (batch->training) l->d_in[r] = (lab_real)(2 * error / batch->over);
    }
    batch->loss[block->index] = loss;
    batch->correct[block->index] = 0;
}

/* A row's loss and its gradient come from the layer's function, which is told the row. */
static void given_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t n = lab_size(l->in_shape);
    double loss = 0;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        lab_real *d = batch->training ? l->d_in + r * n : NULL;
        loss += l->row_loss(l->of_loss, r, l->in + r * n, d);
        for (uint64_t i = 0; d && i < n; i++) d[i] /= (lab_real)batch->over;
    }
    batch->loss[block->index] = loss;
    batch->correct[block->index] = 0;
}

static const lab_layer_kind cross_entropy = { .forward = cross_entropy_forward };
static const lab_layer_kind wide = { .forward = wide_forward };
static const lab_layer_kind squared_error = { .forward = squared_error_forward };
static const lab_layer_kind given = { .forward = given_forward };

void lab_cross_entropy(lab_layer *l, lab_shape in)
{
    l->kind = &cross_entropy;
    l->in_shape = in;
    l->work = 16 * lab_size(in);
}

void lab_cross_entropy_wide(lab_layer *l, lab_shape in)
{
    l->kind = &wide;
    l->in_shape = in;
    l->scratch_count = lab_size(in);
    l->work = 8 * lab_size(in);
}

void lab_squared_error(lab_layer *l, lab_shape in)
{
    l->kind = &squared_error;
    l->in_shape = in;
    l->work = 1;
}

void lab_given_loss(lab_layer *l, lab_shape in)
{
    l->kind = &given;
    l->in_shape = in;
    l->work = 16 * lab_size(in);
}
