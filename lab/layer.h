/* layer.h - what networks are made of. A kind of layer is a table of functions,
 * each for one block of a batch's rows; one file for each family.
 *
 * A batch is cut into blocks by its size alone. Blocks run at the same time, and
 * whatever they add up, gradients and statistics, is added in their order. */
#ifndef LAB_LAYER_H
#define LAB_LAYER_H

#include <stddef.h>

#include "lab/loops.h"
#include "lab/ranks.h"
#include "lab/real.h"

enum { LAB_MOST_TENSORS = 4, LAB_MOST_BLOCKS = 16 };

typedef struct lab_layer lab_layer;

typedef struct {
    uint64_t channels, height, width;
} lab_shape;

static inline uint64_t lab_plane(lab_shape s) { return s.height * s.width; }
static inline uint64_t lab_size(lab_shape s) { return s.channels * s.height * s.width; }

typedef enum {
    LAB_MATRIX, /* weights of products                                        */
    LAB_VECTOR, /* biases, scales and shifts                                  */
    LAB_RUNNING /* statistics that forward keeps; no gradient                 */
} lab_role;

typedef struct {
    char name[32];
    uint32_t role; /* lab_role */
    uint32_t ndim;
    uint64_t shape[4];
    uint64_t count;
    uint64_t offset; /* of its values, and of its gradient, also in a block's  */
    double bound;    /* it starts uniform in [-bound, bound] ...               */
    double fill;     /* ... or, where that is 0, as this                       */
    lab_real *value;
    lab_real *grad;  /* of the whole batch; NULL for RUNNING                   */
} lab_tensor;

/* What all layers are told of the batch at work. */
typedef struct {
    uint64_t count, blocks, block_rows;
    uint64_t seed, step; /* of dropout                                         */
    uint64_t before;     /* rows of the whole batch before these, for dropout  */
    double over;         /* what the sum of losses is divided by               */
    const lab_ranks *ranks; /* that have the other rows, for statistics; or NULL */
    eden_status lost;    /* why they were not heard                            */
    int training;
    const lab_loops *loops;
    const float *x;         /* or NULL, and then                               */
    const lab_real *real_x;
    const int32_t *label; /* or NULL, and then                                 */
    const float *target;
    double loss[LAB_MOST_BLOCKS]; /* sums over the rows of each block          */
    uint64_t correct[LAB_MOST_BLOCKS];
} lab_batch;

typedef struct {
    uint64_t index, first, rows;
    lab_real *grads;   /* this block's part of all gradients                   */
    lab_real *scratch; /* the layer's scratch_count values, for one call       */
} lab_block;

typedef void lab_block_step(lab_layer *layer, lab_batch *batch, const lab_block *block);
typedef void lab_batch_step(lab_layer *layer, lab_batch *batch);
typedef void lab_rows_step(lab_layer *layer, lab_batch *batch, uint64_t first, uint64_t rows);

/* Forward reads `in` and writes `out`; backward reads d_out, writes d_in unless it
 * is NULL, and writes (not adds to) the block's gradients. Where all of a batch
 * must be known first, a `gather` looks at each block and a `join` at them all;
 * forward_gather and forward_join are for training only.
 *
 * A layer with a large matrix has `weights` and leaves the gradient of its first tensor to
 * it. When all backwards are done, it adds so many rows of this gradient to the tensor's,
 * from `in` and `d_out` of the whole batch: one product with a long sum, where blocks would
 * need a gradient each and a sum of these. */
typedef struct {
    lab_block_step *forward_gather;
    lab_batch_step *forward_join;
    lab_block_step *forward;
    lab_block_step *backward_gather;
    lab_batch_step *backward_join;
    lab_block_step *backward;
    lab_rows_step *weights;
    int in_place; /* out is in, d_in is d_out                                  */
} lab_layer_kind;

struct lab_layer {
    const lab_layer_kind *kind;
    lab_shape in_shape, out_shape;
    uint64_t number; /* among the model's layers, from 0                       */
    uint32_t tensors;
    lab_tensor tensor[LAB_MOST_TENSORS];
    double rate;            /* dropout's                                       */
    uint64_t group;         /* a convolution's images in one product           */
    uint64_t context, heads; /* of attention and embedding: rows of a sequence  */
    double slope;           /* of a leaky ReLU below 0                         */
    double (*row_loss)(const void *context, uint64_t row, const lab_real *z, lab_real *d);
    const void *of_loss;    /* the context of a given loss                     */
    lab_layer *other;       /* of a fork its sum and back, of a tied layer the
                               embedding and back; NULL: none                  */
    uint64_t kept_bytes;    /* what a row keeps from forward to backward       */
    uint64_t scratch_count; /* values of scratch                               */
    uint64_t work;          /* multiplications for a row, roughly              */
    double *sums;           /* batch norm's, of blocks and batch; the layer's own */
    /* Where the buffers are, which grow with the batch. */
    const lab_real *in;
    lab_real *out, *d_in, *d_out;
    void *kept;
};

/* Layers as they are named: "layer1", "conv1", "norm1", with what their tensors
 * are called after it. Each fills a zeroed *layer; `sums` may be left NULL for
 * want of memory, which batch norm reports by returning 0. */
void lab_dense(lab_layer *layer, const char *name, lab_shape in, uint64_t out, int has_bias,
               double gain);
void lab_convolution(lab_layer *layer, const char *name, lab_shape in, uint64_t out,
                     int has_bias);
void lab_relu(lab_layer *layer, lab_shape in);
void lab_leaky_relu(lab_layer *layer, lab_shape in, double slope);
void lab_tanh(lab_layer *layer, lab_shape in);
void lab_max_pool(lab_layer *layer, lab_shape in);
void lab_average_pool(lab_layer *layer, lab_shape in);
void lab_dropout(lab_layer *layer, lab_shape in, double rate);
void lab_layer_norm(lab_layer *layer, const char *name, lab_shape in);
int lab_batch_norm(lab_layer *layer, const char *name, lab_shape in);
void lab_embedding(lab_layer *layer, const char *name, uint64_t tokens, uint64_t context,
                   uint64_t width, double deviation);
void lab_attention(lab_layer *layer, uint64_t width, uint64_t heads, uint64_t context);
void lab_gelu(lab_layer *layer, lab_shape in);
void lab_fork(lab_layer *layer, lab_shape in);
void lab_residual(lab_layer *layer, lab_layer *fork);
void lab_tied(lab_layer *layer, lab_layer *embedding);
void lab_cross_entropy(lab_layer *layer, lab_shape in);
void lab_cross_entropy_wide(lab_layer *layer, lab_shape in);
void lab_squared_error(lab_layer *layer, lab_shape in);
void lab_given_loss(lab_layer *layer, lab_shape in);

/* Add to rows of the gradient of `matrix` what the dense or tied layer made of it. */
void lab_dense_weights(const lab_layer *layer, const lab_tensor *matrix, const lab_batch *batch,
                       uint64_t first, uint64_t rows);

/* Describe the layer's next tensor and return it. */
lab_tensor *lab_tensor_add(lab_layer *layer, const char *name, const char *part, lab_role role);

/* Sums of `n` values in a fixed order that vectorizes: plain, of squares of the
 * distance to `center`, and of products. */
double lab_sum(const lab_real *x, uint64_t n);

/* The largest of `n` values, at least 1; where some are NaN, any of the others. */
lab_real lab_largest(const lab_real *x, uint64_t n);
double lab_sum_squares(const lab_real *x, lab_real center, uint64_t n);
double lab_sum_products(const lab_real *x, const lab_real *y, uint64_t n);

#endif
