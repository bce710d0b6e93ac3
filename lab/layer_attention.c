/* layer_attention.c - causal self-attention with several heads (Vaswani et al., 2017).
 *
 * A row is one place of a text and holds its query, key and value for all heads, each
 * `width` values; rows come in sequences of `context`, of which the last may be short.
 * A place sees itself and those before it. */
#include "lab/gemm.h"
#include "lab/layer.h"

#include <math.h>
#include <string.h>

/* One head of one sequence: where its parts are. */
typedef struct {
    uint64_t n, width, each; /* places, values of all heads and of one          */
    lab_matrix query, key, value;
    lab_real *share;         /* n x n with rows `context` apart                 */
    uint64_t at, at_in;      /* its values in `out`, and its query's in `in`    */
} head;

static head head_of(const lab_layer *l, uint64_t first, uint64_t n, uint64_t number)
{
    head h = { .n = n, .width = lab_size(l->out_shape) };
    h.each = h.width / l->heads;
    h.at = first * h.width + number * h.each;
    h.at_in = first * 3 * h.width + number * h.each;
    h.query = (lab_matrix){ l->in + h.at_in, 3 * h.width, 0 };
    h.key = (lab_matrix){ h.query.at + h.width, 3 * h.width, 0 };
    h.value = (lab_matrix){ h.key.at + h.width, 3 * h.width, 0 };
    h.share = (lab_real *)l->kept + (first * l->heads + number * n) * l->context;
    return h;
}

static lab_matrix turned(lab_matrix m)
{
    m.transposed = !m.transposed;
    return m;
}

/* The softmax of `scale` times the first n values; what comes after them is 0. */
static void softmax(const lab_loops *loops, lab_real *x, uint64_t n, uint64_t all, lab_real scale)
{
    loops->exponentials(x, n, lab_largest(x, n), scale);
    loops->scale(x, n, (lab_real)(1 / lab_sum(x, n)));
    memset(x + n, 0, (all - n) * sizeof *x);
}

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t end = block->first + block->rows, context = l->context;
    for (uint64_t first = block->first; first < end; first += context)
        for (uint64_t k = 0; k < l->heads; k++) {
            const uint64_t n = end - first < context ? end - first : context;
            const head h = head_of(l, first, n, k);
            const lab_matrix share = { h.share, context, 0 };
            const lab_real scale = (lab_real)(1 / sqrt((double)h.each));
            lab_gemm(n, n, h.each, h.query, turned(h.key), 0, h.share, context);
            for (uint64_t i = 0; i < n; i++) softmax(batch->loops, h.share + i * context, i + 1, n, scale);
            lab_gemm(n, h.each, n, share, h.value, 0, l->out + h.at, h.width);
        }
}

/* From the gradient of shares to that of what the softmax was taken of: with p the
 * shares, scale p (d - sum(p d)). */
static void softmax_back(const lab_loops *loops, lab_real *d, const lab_real *p, uint64_t n,
                         lab_real scale)
{
    loops->softmax_back(d, p, n, (lab_real)lab_sum_products(d, p, n), scale);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t end = block->first + block->rows, context = l->context;
    lab_real *d_share = block->scratch;
    for (uint64_t first = block->first; first < end; first += context)
        for (uint64_t k = 0; k < l->heads; k++) {
            const uint64_t n = end - first < context ? end - first : context;
            const head h = head_of(l, first, n, k);
            const lab_matrix share = { h.share, context, 0 }, d = { l->d_out + h.at, h.width, 0 };
            const lab_matrix ds = { d_share, context, 0 };
            const lab_real scale = (lab_real)(1 / sqrt((double)h.each));
            lab_real *d_query = l->d_in + h.at_in, *d_key = d_query + h.width;
            lab_real *d_value = d_key + h.width;
            lab_gemm(n, h.each, n, turned(share), d, 0, d_value, 3 * h.width);
            lab_gemm(n, n, h.each, d, turned(h.value), 0, d_share, context);
            for (uint64_t i = 0; i < n; i++)
                softmax_back(batch->loops, d_share + i * context, h.share + i * context, n, scale);
            lab_gemm(n, h.each, n, ds, h.key, 0, d_query, 3 * h.width);
            lab_gemm(n, h.each, n, turned(ds), h.query, 0, d_key, 3 * h.width);
        }
}

static const lab_layer_kind attention = { .forward = forward, .backward = backward };

void lab_attention(lab_layer *l, uint64_t width, uint64_t heads, uint64_t context)
{
    l->kind = &attention;
    l->in_shape = (lab_shape){ 3 * width, 1, 1 };
    l->out_shape = (lab_shape){ width, 1, 1 };
    l->heads = heads;
    l->context = context;
    l->kept_bytes = heads * context * sizeof(lab_real);
    l->scratch_count = context * context;
    l->work = 2 * width * context;
}
