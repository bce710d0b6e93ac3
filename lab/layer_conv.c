/* layer_conv.c - 3 x 3 convolution that keeps height and width, as a product.
 *
 * The columns of a matrix are the 9 * channels values that one output reads, so
 * out = W columns. Small images stand side by side in one product. */
#include "lab/gemm.h"
#include "lab/layer.h"

#include <math.h>
#include <string.h>

enum { TAPS = 9 };

/* The range of p for which p and p + shift are both in [0, n). */
static void overlap(int64_t shift, int64_t n, int64_t *from, int64_t *to)
{
    *from = shift < 0 ? -shift : 0;
    *to = shift > 0 ? n - shift : n;
    if (*from > n) *from = n;
    if (*to < *from) *to = *from;
}

/* In a plane moved by one column, values of the next or last line come in at the
 * side; they belong to the border. */
static void clear_side(lab_real *plane, int64_t dx, uint64_t height, uint64_t width)
{
    if (dx == 0) return;
    for (uint64_t y = 0; y < height; y++) plane[y * width + (dx < 0 ? 0 : width - 1)] = 0;
}

/* Row (channel, tap) of the columns is the channel's plane, moved. */
static void spread(const lab_layer *l, const lab_real *image, lab_real *columns, uint64_t stride)
{
    const int64_t w = (int64_t)l->in_shape.width, n = (int64_t)lab_plane(l->in_shape);
    for (uint64_t row = 0; row < l->in_shape.channels * TAPS; row++) {
        const int64_t dy = (int64_t)(row % TAPS) / 3 - 1, dx = (int64_t)(row % 3) - 1;
        const int64_t shift = dy * w + dx;
        const lab_real *plane = image + (int64_t)(row / TAPS) * n;
        lab_real *to = columns + row * stride;
        int64_t first, last;
        overlap(shift, n, &first, &last);
        for (int64_t p = 0; p < first; p++) to[p] = 0;
        memcpy(to + first, plane + first + shift, (size_t)(last - first) * sizeof *to);
        for (int64_t p = last; p < n; p++) to[p] = 0;
        clear_side(to, dx, l->in_shape.height, l->in_shape.width);
    }
}

/* The reverse: add each row of the columns to its plane. */
static void collect(const lab_layer *l, lab_real *columns, uint64_t stride, lab_real *image)
{
    const int64_t w = (int64_t)l->in_shape.width, n = (int64_t)lab_plane(l->in_shape);
    memset(image, 0, lab_size(l->in_shape) * sizeof *image);
    for (uint64_t row = 0; row < l->in_shape.channels * TAPS; row++) {
        const int64_t dy = (int64_t)(row % TAPS) / 3 - 1, dx = (int64_t)(row % 3) - 1;
        const int64_t shift = dy * w + dx;
        lab_real *restrict plane = image + (int64_t)(row / TAPS) * n;
        lab_real *restrict from = columns + row * stride;
        int64_t first, last;
        clear_side(from, dx, l->in_shape.height, l->in_shape.width);
        overlap(shift, n, &first, &last);
        for (int64_t p = first; p < last; p++) plane[p + shift] += from[p];
    }
}

/* Between images one after the other, each channel by channel, and channels one
 * after the other, each image by image. */
static void regroup(lab_real *to, const lab_real *from, uint64_t outer, uint64_t inner,
                    uint64_t plane)
{
    for (uint64_t i = 0; i < outer; i++)
        for (uint64_t j = 0; j < inner; j++)
            memcpy(to + (i * inner + j) * plane, from + (j * outer + i) * plane,
                   plane * sizeof *to);
}

static uint64_t images_at(const lab_layer *l, const lab_block *block, uint64_t image)
{
    const uint64_t left = block->rows - image;
    return left < l->group ? left : l->group;
}

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t channels = l->out_shape.channels, plane = lab_plane(l->in_shape);
    const uint64_t depth = l->in_shape.channels * TAPS, in = lab_size(l->in_shape);
    (void)batch;
    for (uint64_t image = 0; image < block->rows; image += l->group) {
        const uint64_t images = images_at(l, block, image), n = images * plane;
        lab_real *y = l->out + (block->first + image) * channels * plane;
        lab_real *columns = block->scratch, *staged = images > 1 ? columns + depth * n : y;
        for (uint64_t i = 0; i < images; i++)
            spread(l, l->in + (block->first + image + i) * in, columns + i * plane, n);
        for (uint64_t c = 0; l->tensors > 1 && c < channels; c++)
            for (uint64_t p = 0; p < n; p++) staged[c * n + p] = l->tensor[1].value[c];
        lab_gemm(channels, n, depth, (lab_matrix){ l->tensor[0].value, depth, 0 },
                 (lab_matrix){ columns, n, 0 }, l->tensors > 1, staged, n);
        if (images > 1) regroup(y, staged, images, channels, plane);
    }
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t channels = l->out_shape.channels, plane = lab_plane(l->in_shape);
    const uint64_t depth = l->in_shape.channels * TAPS, in = lab_size(l->in_shape);
    lab_real *dw = block->grads + l->tensor[0].offset;
    lab_real *db = l->tensors > 1 ? block->grads + l->tensor[1].offset : NULL;
    (void)batch;
    for (uint64_t image = 0; image < block->rows; image += l->group) {
        const uint64_t images = images_at(l, block, image), n = images * plane;
        const lab_real *dy = l->d_out + (block->first + image) * channels * plane;
        lab_real *columns = block->scratch, *staged = columns + depth * n;
        if (images > 1) {
            regroup(staged, dy, channels, images, plane);
            dy = staged;
        }
        for (uint64_t i = 0; i < images; i++)
            spread(l, l->in + (block->first + image + i) * in, columns + i * plane, n);
        lab_gemm(channels, depth, n, (lab_matrix){ dy, n, 0 }, (lab_matrix){ columns, n, 1 },
                 image > 0, dw, depth);
        for (uint64_t c = 0; db && c < channels; c++)
            db[c] = (lab_real)lab_sum(dy + c * n, n) + (image > 0 ? db[c] : 0);
        if (!l->d_in) continue;
        lab_gemm(depth, n, channels, (lab_matrix){ l->tensor[0].value, depth, 1 },
                 (lab_matrix){ dy, n, 0 }, 0, columns, n);
        for (uint64_t i = 0; i < images; i++)
            collect(l, columns + i * plane, n, l->d_in + (block->first + image + i) * in);
    }
}

static const lab_layer_kind convolution = { .forward = forward, .backward = backward };

/* Columns of a product below this many do not fill a kernel. */
enum { ENOUGH_COLUMNS = 256, MOST_IMAGES = 8 };

void lab_convolution(lab_layer *l, const char *name, lab_shape in, uint64_t out, int has_bias)
{
    const uint64_t plane = lab_plane(in);
    l->kind = &convolution;
    l->in_shape = in;
    l->out_shape = (lab_shape){ out, in.height, in.width };
    l->work = lab_size(in) * TAPS * out;
    l->group = (ENOUGH_COLUMNS + plane - 1) / plane;
    if (l->group > MOST_IMAGES) l->group = MOST_IMAGES;
    l->scratch_count = (in.channels * TAPS + out) * plane * l->group;
    lab_tensor *w = lab_tensor_add(l, name, "weight", LAB_MATRIX);
    w->ndim = 4;
    w->shape[0] = out;
    w->shape[1] = in.channels;
    w->shape[2] = w->shape[3] = 3;
    w->bound = sqrt(6 / (double)(in.channels * TAPS));
    if (!has_bias) return;
    lab_tensor *b = lab_tensor_add(l, name, "bias", LAB_VECTOR);
    b->ndim = 1;
    b->shape[0] = out;
}
