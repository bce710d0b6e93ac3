/* layer_embed.c - a vector for each byte and one for its place in the text, added. */
#include "lab/layer.h"

#include <math.h>
#include <string.h>

enum { TOKENS, PLACES };

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t width = lab_size(l->out_shape);
    (void)batch;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const lab_real *restrict token = l->tensor[TOKENS].value + (uint64_t)l->in[r] * width;
        const lab_real *restrict place = l->tensor[PLACES].value + r % l->context * width;
        lab_real *restrict y = l->out + r * width;
        for (uint64_t i = 0; i < width; i++) y[i] = token[i] + place[i];
    }
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t width = lab_size(l->out_shape);
    lab_real *places = block->grads + l->tensor[PLACES].offset;
    (void)batch;
    memset(places, 0, l->tensor[PLACES].count * sizeof *places);
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const lab_real *restrict d = l->d_out + r * width;
        lab_real *restrict place = places + r % l->context * width;
        for (uint64_t i = 0; i < width; i++) place[i] += d[i];
    }
}

/* Of the tokens from `first` on, in the order of the places; and what a head that shares
 * their vectors made of them. */
static void weights(lab_layer *l, lab_batch *batch, uint64_t first, uint64_t rows)
{
    const uint64_t width = lab_size(l->out_shape);
    if (l->other) lab_dense_weights(l->other, &l->tensor[TOKENS], batch, first, rows);
    for (uint64_t r = 0; r < batch->count; r++) {
        const uint64_t token = (uint64_t)l->in[r];
        if (token < first || token >= first + rows) continue;
        const lab_real *restrict d = l->d_out + r * width;
        lab_real *restrict sum = l->tensor[TOKENS].grad + token * width;
        for (uint64_t i = 0; i < width; i++) sum[i] += d[i];
    }
}

static const lab_layer_kind embedding = { .forward = forward, .backward = backward,
                                          .weights = weights };

/* `deviation` is of what they start as. */
void lab_embedding(lab_layer *l, const char *name, uint64_t tokens, uint64_t context, uint64_t width,
                   double deviation)
{
    static const char *const parts[] = { "tokens", "places" };
    l->kind = &embedding;
    l->in_shape = (lab_shape){ 1, 1, 1 };
    l->out_shape = (lab_shape){ width, 1, 1 };
    l->context = context;
    l->work = width;
    for (int i = 0; i < 2; i++) {
        lab_tensor *t = lab_tensor_add(l, name, parts[i], LAB_MATRIX);
        t->ndim = 2;
        t->shape[0] = i == TOKENS ? tokens : context;
        t->shape[1] = width;
        t->bound = sqrt(3) * deviation;
    }
}
