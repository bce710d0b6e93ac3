/* layer_batch_norm.c - batch normalization: each channel over all rows. */
#include "lab/layer_norm.h"

#include <stdlib.h>

/* `sums` are rows of two doubles for each channel, first all the first ones. Two
 * rows are of the batch: mean and 1 / deviation, and for backward the means of dy
 * and of dy times the normalized value. Two are for what a rank has to say; the others are
 * of blocks. */
enum { BATCH, BATCH_BACK, OWN, OWN_TOO, FIRST_BLOCK };

static double *sums_at(const lab_layer *l, uint64_t row)
{
    return l->sums + row * 2 * l->in_shape.channels;
}

/* Where a block's values of channel 0 begin. */
static uint64_t start_of(const lab_layer *l, const lab_block *block)
{
    return block->first * lab_size(l->in_shape);
}

/* ---- forward ------------------------------------------------------------------------ */

/* Each block's mean and sum of squared distances to it. */
static void gather(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), plane = lab_plane(l->in_shape);
    const uint64_t channels = l->in_shape.channels;
    const double n = (double)(block->rows * plane);
    const lab_real *restrict x = l->in + start_of(l, block);
    double *restrict mean = sums_at(l, FIRST_BLOCK + block->index);
    double *restrict squares = mean + channels;
    (void)batch;
    for (uint64_t c = 0; c < channels; c++) mean[c] = squares[c] = 0;
    for (uint64_t r = 0; r < block->rows; r++)
        for (uint64_t c = 0; c < channels; c++)
            mean[c] += plane == 1 ? (double)x[r * size + c] : lab_sum(x + r * size + c * plane, plane);
    for (uint64_t c = 0; c < channels; c++) mean[c] /= n;
    for (uint64_t r = 0; r < block->rows; r++)
        for (uint64_t c = 0; c < channels; c++) {
            const double d = (double)x[r * size + c] - mean[c];
            squares[c] += plane == 1 ? d * d
                                     : lab_sum_squares(x + r * size + c * plane, (lab_real)mean[c],
                                                       plane);
        }
}

/* Statistics of some values of a channel. */
typedef struct {
    double n, mean, squares;
} moments;

/* Combine them with those of `n` more (Chan, Golub and LeVeque, 1979). */
static void take_in(moments *all, double n, double mean, double squares)
{
    const double delta = mean - all->mean, sum = all->n + n;
    if (n == 0) return;
    all->squares += squares + delta * delta * all->n * n / sum;
    all->mean += delta * n / sum;
    all->n = sum;
}

static moments of_blocks(const lab_layer *l, const lab_batch *batch, uint64_t c)
{
    moments all = { 0, 0, 0 };
    for (uint64_t b = 0; b < batch->blocks; b++) {
        const uint64_t left = batch->count - b * batch->block_rows;
        const uint64_t rows = left < batch->block_rows ? left : batch->block_rows;
        const double *sums = sums_at(l, FIRST_BLOCK + b);
        take_in(&all, (double)(rows * lab_plane(l->in_shape)), sums[c], sums[l->in_shape.channels + c]);
    }
    return all;
}

/* `size` bytes of every rank, or those at `mine` where there are no others; NULL where the
 * others are lost, or there is no memory to keep what they said. */
static void *of_ranks(lab_batch *batch, void *mine, size_t size)
{
    void *all = batch->ranks ? malloc(batch->ranks->ranks * size) : mine;
    if (!batch->ranks) return all;
    const eden_status status = lab_ranks_gather(batch->ranks, mine, all, size, NULL);
    if (!status) return all;
    batch->lost = status;
    free(all);
    return NULL;
}

/* Combine the blocks in their order and then the ranks in theirs, and move the running
 * statistics a tenth of the way, towards the unbiased variance. */
static void join(lab_layer *l, lab_batch *batch)
{
    const uint64_t channels = l->in_shape.channels, ranks = lab_ranks_count(batch->ranks);
    moments *mine = (moments *)sums_at(l, OWN);
    for (uint64_t c = 0; c < channels; c++) mine[c] = of_blocks(l, batch, c);
    moments *each = of_ranks(batch, mine, channels * sizeof *mine);
    for (uint64_t c = 0; each && c < channels; c++) {
        moments all = each[c];
        for (uint64_t r = 1; r < ranks; r++) {
            const moments *more = &each[r * channels + c];
            take_in(&all, more->n, more->mean, more->squares);
        }
        const double n = all.n, mean = all.mean, squares = all.squares;
        const double variance = squares / n, unbiased = n > 1 ? squares / (n - 1) : variance;
        sums_at(l, BATCH)[c] = mean;
        sums_at(l, BATCH)[channels + c] = 1 / sqrt(variance + LAB_EPS);
        /* A step that is not finite may yet be refused: these have to outlive it. */
        if (!(mean - mean == 0 && unbiased - unbiased == 0)) continue;
        lab_real *running = l->tensor[LAB_MEAN].value + c;
        lab_real *running_variance = l->tensor[LAB_VARIANCE].value + c;
        *running = (lab_real)(0.9 * (double)*running + 0.1 * mean);
        *running_variance = (lab_real)(0.9 * (double)*running_variance + 0.1 * unbiased);
    }
    if (each != mine) free(each);
}

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), plane = lab_plane(l->in_shape);
    const uint64_t channels = l->in_shape.channels;
    const double *now = sums_at(l, BATCH);
    lab_real *restrict mean = block->scratch, *restrict factor = mean + channels;
    const lab_real *restrict shift = l->tensor[LAB_SHIFT].value;
    const lab_real *restrict x = l->in + start_of(l, block);
    lab_real *restrict y = l->out + start_of(l, block);
    for (uint64_t c = 0; c < channels; c++) {
        const double variance = (double)l->tensor[LAB_VARIANCE].value[c];
        mean[c] = batch->training ? (lab_real)now[c] : l->tensor[LAB_MEAN].value[c];
        factor[c] = l->tensor[LAB_SCALE].value[c] *
                    (lab_real)(batch->training ? now[channels + c] : 1 / sqrt(variance + LAB_EPS));
    }
    for (uint64_t r = 0; r < block->rows; r++, x += size, y += size) {
        for (uint64_t c = 0; plane == 1 && c < channels; c++)
            y[c] = (x[c] - mean[c]) * factor[c] + shift[c];
        for (uint64_t c = 0; plane > 1 && c < channels; c++)
            lab_norm_plane(y + c * plane, x + c * plane, plane, mean[c], factor[c], shift[c]);
    }
}

/* ---- backward ----------------------------------------------------------------------- */

static void backward_gather(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), plane = lab_plane(l->in_shape);
    const uint64_t channels = l->in_shape.channels;
    const lab_real *restrict x = l->in + start_of(l, block);
    const lab_real *restrict dy = l->d_out + start_of(l, block);
    const double *restrict now = sums_at(l, BATCH);
    double *restrict sum = sums_at(l, FIRST_BLOCK + block->index), *restrict product = sum + channels;
    (void)batch;
    for (uint64_t c = 0; c < channels; c++) sum[c] = product[c] = 0;
    for (uint64_t r = 0; r < block->rows; r++, x += size, dy += size) {
        for (uint64_t c = 0; plane == 1 && c < channels; c++) {
            sum[c] += (double)dy[c];
            product[c] += (double)dy[c] * ((double)x[c] - now[c]);
        }
        for (uint64_t c = 0; plane > 1 && c < channels; c++) {
            sum[c] += lab_sum(dy + c * plane, plane);
            product[c] +=
                lab_norm_product(dy + c * plane, x + c * plane, (lab_real)now[c], plane);
        }
    }
    for (uint64_t c = 0; c < channels; c++) {
        product[c] *= now[channels + c];
        block->grads[l->tensor[LAB_SHIFT].offset + c] = (lab_real)sum[c];
        block->grads[l->tensor[LAB_SCALE].offset + c] = (lab_real)product[c];
    }
}

static void backward_join(lab_layer *l, lab_batch *batch)
{
    const uint64_t values = 2 * l->in_shape.channels, ranks = lab_ranks_count(batch->ranks);
    double *mine = sums_at(l, OWN), n = 0;
    for (uint64_t i = 0; i < values; i++) {
        mine[i] = 0;
        for (uint64_t b = 0; b < batch->blocks; b++) mine[i] += sums_at(l, FIRST_BLOCK + b)[i];
    }
    mine[values] = (double)(batch->count * lab_plane(l->in_shape));
    double *each = of_ranks(batch, mine, (values + 1) * sizeof *mine);
    for (uint64_t r = 0; each && r < ranks; r++) n += each[r * (values + 1) + values];
    for (uint64_t i = 0; each && i < values; i++) {
        double sum = each[i];
        for (uint64_t r = 1; r < ranks; r++) sum += each[r * (values + 1) + i];
        sums_at(l, BATCH_BACK)[i] = sum / n;
    }
    if (each != mine) free(each);
}

/* With the normalized value n: dx = scale rstd (dy - mean(dy) - n mean(dy n)). */
static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), plane = lab_plane(l->in_shape);
    const uint64_t channels = l->in_shape.channels;
    const double *now = sums_at(l, BATCH), *back = sums_at(l, BATCH_BACK);
    lab_real *restrict mean = block->scratch, *restrict a = mean + channels;
    lab_real *restrict b = a + channels, *restrict k = b + channels;
    const lab_real *restrict x = l->in + start_of(l, block);
    const lab_real *restrict dy = l->d_out + start_of(l, block);
    (void)batch;
    if (!l->d_in) return;
    lab_real *restrict dx = l->d_in + start_of(l, block);
    for (uint64_t c = 0; c < channels; c++) {
        const double rstd = now[channels + c];
        const double factor = rstd * (double)l->tensor[LAB_SCALE].value[c];
        mean[c] = (lab_real)now[c];
        a[c] = (lab_real)factor;
        b[c] = (lab_real)(-factor * rstd * back[channels + c]);
        k[c] = (lab_real)(-factor * back[c]);
    }
    for (uint64_t r = 0; r < block->rows; r++, x += size, dy += size, dx += size) {
        for (uint64_t c = 0; plane == 1 && c < channels; c++)
            dx[c] = a[c] * dy[c] + b[c] * (x[c] - mean[c]) + k[c];
        for (uint64_t c = 0; plane > 1 && c < channels; c++)
            lab_norm_plane_back(dx + c * plane, dy + c * plane, x + c * plane, plane, mean[c], a[c],
                                b[c], k[c]);
    }
}

static const lab_layer_kind batch_norm = {
    .forward_gather = gather,
    .forward_join = join,
    .forward = forward,
    .backward_gather = backward_gather,
    .backward_join = backward_join,
    .backward = backward,
};

int lab_batch_norm(lab_layer *l, const char *name, lab_shape in)
{
    l->kind = &batch_norm;
    l->in_shape = l->out_shape = in;
    l->scratch_count = 4 * in.channels;
    l->work = 8 * lab_size(in);
    lab_norm_vector(l, name, "scale", LAB_VECTOR, 1);
    lab_norm_vector(l, name, "shift", LAB_VECTOR, 0);
    lab_norm_vector(l, name, "mean", LAB_RUNNING, 0);
    lab_norm_vector(l, name, "variance", LAB_RUNNING, 1);
    l->sums = calloc((FIRST_BLOCK + LAB_MOST_BLOCKS) * 2 * in.channels, sizeof *l->sums);
    return l->sums != NULL;
}
