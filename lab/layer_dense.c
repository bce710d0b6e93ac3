/* layer_dense.c - out = in W' + b, with W of out x in. */
#include "lab/gemm.h"
#include "lab/layer.h"

#include <math.h>
#include <string.h>

/* A tied layer's weights are an embedding's. */
static const lab_tensor *weights(const lab_layer *l)
{
    return l->other ? &l->other->tensor[0] : &l->tensor[0];
}

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t in = lab_size(l->in_shape), out = lab_size(l->out_shape);
    const lab_matrix x = { l->in + block->first * in, in, 0 };
    const lab_matrix w = { weights(l)->value, in, 1 };
    lab_real *y = l->out + block->first * out;
    (void)batch;
    for (uint64_t r = 0; l->tensors > 1 && r < block->rows; r++)
        memcpy(y + r * out, l->tensor[1].value, out * sizeof *y);
    lab_gemm(block->rows, out, in, x, w, l->tensors > 1, y, out);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t in = lab_size(l->in_shape), out = lab_size(l->out_shape);
    const lab_real *dy = l->d_out + block->first * out;
    const lab_matrix d = { dy, out, 0 };
    const lab_matrix w = { weights(l)->value, in, 0 };
    (void)batch;
    if (l->tensors > 1) {
        lab_real *db = block->grads + l->tensor[1].offset;
        memcpy(db, dy, out * sizeof *db);
        for (uint64_t r = 1; r < block->rows; r++)
            for (uint64_t j = 0; j < out; j++) db[j] += dy[r * out + j];
    }
    if (l->d_in) lab_gemm(block->rows, in, out, d, w, 0, l->d_in + block->first * in, in);
}

void lab_dense_weights(const lab_layer *l, const lab_tensor *matrix, const lab_batch *batch,
                       uint64_t first, uint64_t rows)
{
    const uint64_t in = lab_size(l->in_shape), out = lab_size(l->out_shape);
    const lab_matrix d = { l->d_out + first, out, 1 }, x = { l->in, in, 0 };
    lab_gemm(rows, in, batch->count, d, x, 1, matrix->grad + first * in, in);
}

static void own_weights(lab_layer *l, lab_batch *batch, uint64_t first, uint64_t rows)
{
    lab_dense_weights(l, &l->tensor[0], batch, first, rows);
}

static const lab_layer_kind dense = { .forward = forward, .backward = backward,
                                      .weights = own_weights };
/* The embedding sees to the weights. */
static const lab_layer_kind tied = { .forward = forward, .backward = backward };

/* Weights start with variance gain / in: 2 keeps the size of values through a
 * ReLU (He et al., 2015), 1 without one. */
void lab_dense(lab_layer *l, const char *name, lab_shape in, uint64_t out, int has_bias,
               double gain)
{
    l->kind = &dense;
    l->in_shape = in;
    l->out_shape = (lab_shape){ out, 1, 1 };
    l->work = lab_size(in) * out;
    lab_tensor *w = lab_tensor_add(l, name, "weight", LAB_MATRIX);
    w->ndim = 2;
    w->shape[0] = out;
    w->shape[1] = lab_size(in);
    w->bound = sqrt(3 * gain / (double)lab_size(in));
    if (!has_bias) return;
    lab_tensor *b = lab_tensor_add(l, name, "bias", LAB_VECTOR);
    b->ndim = 1;
    b->shape[0] = out;
}

/* A row's product with each vector of an embedding, which stands before it. */
void lab_tied(lab_layer *l, lab_layer *embedding)
{
    l->kind = &tied;
    l->in_shape = embedding->out_shape;
    l->out_shape = (lab_shape){ embedding->tensor[0].shape[0], 1, 1 };
    l->work = lab_size(l->in_shape) * lab_size(l->out_shape);
    l->other = embedding;
    embedding->other = l;
}
