/* layer_simple.c - layers without weights: ReLU, plain and leaky, max pooling, dropout. */
#include "lab/layer.h"
#include "lab/random.h"

#include <math.h>

/* ---- ReLU ---------------------------------------------------------------------- */

/* Written so that NaN stays NaN. */
static void relu_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    lab_real *y = l->out + block->first * size;
    (void)batch;
    for (uint64_t i = 0; i < block->rows * size; i++) y[i] = y[i] < 0 ? 0 : y[i];
}

static void relu_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    const lab_real *restrict y = l->out + block->first * size;
    lab_real *restrict d = l->d_out + block->first * size;
    (void)batch;
    for (uint64_t i = 0; i < block->rows * size; i++) d[i] = y[i] > 0 ? d[i] : 0;
}

static const lab_layer_kind relu = { .forward = relu_forward, .backward = relu_backward,
                                     .in_place = 1 };

void lab_relu(lab_layer *l, lab_shape in)
{
    l->kind = &relu;
    l->in_shape = l->out_shape = in;
    l->work = lab_size(in);
}

/* The sign of what comes out is that of what went in. */
static void leaky_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    const lab_real slope = (lab_real)l->slope;
    lab_real *y = l->out + block->first * size;
    (void)batch;
    for (uint64_t i = 0; i < block->rows * size; i++) y[i] = y[i] < 0 ? slope * y[i] : y[i];
}

static void leaky_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    const lab_real slope = (lab_real)l->slope;
    const lab_real *restrict y = l->out + block->first * size;
    lab_real *restrict d = l->d_out + block->first * size;
    (void)batch;
    for (uint64_t i = 0; i < block->rows * size; i++) d[i] = y[i] > 0 ? d[i] : slope * d[i];
}

static const lab_layer_kind leaky = { .forward = leaky_forward, .backward = leaky_backward,
                                      .in_place = 1 };

void lab_leaky_relu(lab_layer *l, lab_shape in, double slope)
{
    l->kind = &leaky;
    l->in_shape = l->out_shape = in;
    l->slope = slope;
    l->work = lab_size(in);
}

/* ---- max pooling, 2 x 2 ------------------------------------------------------------ */

/* The largest of four, the first of equal ones; `kept` is which. A last odd line
 * or column is left out. */
static void pool_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t w = l->in_shape.width, ow = l->out_shape.width, oh = l->out_shape.height;
    const uint64_t planes = block->rows * l->in_shape.channels;
    const uint64_t first = block->first * l->in_shape.channels;
    for (uint64_t line = 0; line < planes * oh; line++) {
        const uint64_t plane = first + line / oh, y = line % oh;
        const lab_real *a = l->in + plane * lab_plane(l->in_shape) + 2 * y * w;
        const uint64_t at = (plane * oh + y) * ow;
        batch->loops->pool(l->out + at, (unsigned char *)l->kept + at, a, a + w, ow);
    }
}

static void pool_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t w = l->in_shape.width, ow = l->out_shape.width, oh = l->out_shape.height;
    const uint64_t in = lab_size(l->in_shape), planes = block->rows * l->in_shape.channels;
    const uint64_t first = block->first * l->in_shape.channels;
    if (!l->d_in) return;
    if (w % 2 || l->in_shape.height % 2)
        for (uint64_t i = 0; i < block->rows * in; i++) l->d_in[block->first * in + i] = 0;
    for (uint64_t line = 0; line < planes * oh; line++) {
        const uint64_t plane = first + line / oh, y = line % oh;
        lab_real *a = l->d_in + plane * lab_plane(l->in_shape) + 2 * y * w;
        const uint64_t at = (plane * oh + y) * ow;
        batch->loops->pool_back(a, a + w, l->d_out + at, (const unsigned char *)l->kept + at, ow);
    }
}

static const lab_layer_kind max_pool = { .forward = pool_forward, .backward = pool_backward };

void lab_max_pool(lab_layer *l, lab_shape in)
{
    l->kind = &max_pool;
    l->in_shape = in;
    l->out_shape = (lab_shape){ in.channels, in.height / 2, in.width / 2 };
    l->kept_bytes = lab_size(l->out_shape);
    l->work = lab_size(in);
}

/* ---- dropout ------------------------------------------------------------------------ */

/* Values are dropped at `rate` and the others divided by 1 - rate, so that nothing
 * is left to do outside training. */
static void dropout_forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), key = lab_random_key(batch->seed, l->number);
    const uint32_t below = (uint32_t)ldexp(l->rate, 32);
    const lab_real scale = (lab_real)(1 / (1 - l->rate));
    if (!batch->training) return;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        lab_real *y = l->out + r * size;
        unsigned char *keeps = (unsigned char *)l->kept + r * size;
        uint32_t counter[4] = { 0, (uint32_t)(batch->before + r), (uint32_t)batch->step,
                                (uint32_t)(batch->step >> 32) };
        uint32_t words[4];
        for (uint64_t i = 0; i < size; i++) {
            counter[0] = (uint32_t)(i / 4);
            if (i % 4 == 0) lab_random_words(key, counter, words);
            keeps[i] = words[i % 4] >= below;
            y[i] = keeps[i] ? y[i] * scale : 0;
        }
    }
}

static void dropout_backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    const lab_real scale = (lab_real)(1 / (1 - l->rate));
    lab_real *restrict d = l->d_out ? l->d_out + block->first * size : NULL;
    const unsigned char *restrict keeps = (unsigned char *)l->kept + block->first * size;
    (void)batch;
    for (uint64_t i = 0; d && i < block->rows * size; i++) d[i] = keeps[i] ? d[i] * scale : 0;
}

static const lab_layer_kind dropout = { .forward = dropout_forward,
                                        .backward = dropout_backward, .in_place = 1 };

void lab_dropout(lab_layer *l, lab_shape in, double rate)
{
    l->kind = &dropout;
    l->in_shape = l->out_shape = in;
    l->rate = rate;
    l->kept_bytes = lab_size(in);
    l->work = 4 * lab_size(in);
}
