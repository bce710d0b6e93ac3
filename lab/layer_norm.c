/* layer_norm.c - layer normalization: each row by itself. */
#include "lab/layer_norm.h"

void lab_norm_vector(lab_layer *l, const char *name, const char *part, lab_role role, double fill)
{
    lab_tensor *t = lab_tensor_add(l, name, part, role);
    t->ndim = 1;
    t->shape[0] = l->in_shape.channels;
    t->fill = fill;
}

double lab_norm_product(const lab_real *dy, const lab_real *x, lab_real mean, uint64_t n)
{
    enum { PIECE = 256 };
    lab_real centered[PIECE];
    double sum = 0;
    for (uint64_t at = 0; at < n; at += PIECE) {
        const uint64_t m = n - at < PIECE ? n - at : PIECE;
        for (uint64_t i = 0; i < m; i++) centered[i] = x[at + i] - mean;
        sum += lab_sum_products(dy + at, centered, m);
    }
    return sum;
}

/* ---- forward ------------------------------------------------------------------------ */

static void forward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape), plane = lab_plane(l->in_shape);
    const lab_real *restrict scale = l->tensor[LAB_SCALE].value;
    const lab_real *restrict shift = l->tensor[LAB_SHIFT].value;
    (void)batch;
    for (uint64_t r = block->first; r < block->first + block->rows; r++) {
        const lab_real *restrict x = l->in + r * size;
        lab_real *restrict y = l->out + r * size;
        double *kept = (double *)l->kept + 2 * r; /* for backward */
        kept[0] = lab_sum(x, size) / (double)size;
        const lab_real mean = (lab_real)kept[0];
        kept[1] = 1 / sqrt(lab_sum_squares(x, mean, size) / (double)size + LAB_EPS);
        const lab_real rstd = (lab_real)kept[1];
        for (uint64_t i = 0; plane == 1 && i < size; i++)
            y[i] = (x[i] - mean) * rstd * scale[i] + shift[i];
        for (uint64_t c = 0; plane > 1 && c < l->in_shape.channels; c++)
            lab_norm_plane(y + c * plane, x + c * plane, plane, mean, rstd * scale[c], shift[c]);
    }
}

/* ---- backward ----------------------------------------------------------------------- */

typedef struct {
    const lab_real *x, *dy;
    lab_real *dx; /* or NULL */
    lab_real mean, rstd;
} row;

/* With g = dy scale and the normalized value n: dx = rstd (g - mean(g) - n mean(g n)). */
static void planes_backward(const lab_layer *l, const row *r, lab_real *d_scale,
                            lab_real *d_shift)
{
    const lab_real *scale = l->tensor[LAB_SCALE].value;
    const uint64_t plane = lab_plane(l->in_shape);
    const double rstd = (double)r->rstd, size = (double)lab_size(l->in_shape);
    double sum = 0, product = 0;
    for (uint64_t c = 0; c < l->in_shape.channels; c++) {
        const double s = lab_sum(r->dy + c * plane, plane);
        const double p =
            rstd * lab_norm_product(r->dy + c * plane, r->x + c * plane, r->mean, plane);
        d_shift[c] += (lab_real)s;
        d_scale[c] += (lab_real)p;
        sum += s * (double)scale[c];
        product += p * (double)scale[c];
    }
    for (uint64_t c = 0; r->dx && c < l->in_shape.channels; c++)
        lab_norm_plane_back(r->dx + c * plane, r->dy + c * plane, r->x + c * plane, plane, r->mean,
                            r->rstd * scale[c], (lab_real)(-rstd * rstd * product / size),
                            (lab_real)(-rstd * sum / size));
}

/* The same for channels of one value; `scratch` holds g and n. */
static void values_backward(const lab_layer *l, const row *r, lab_real *restrict d_scale,
                            lab_real *restrict d_shift, lab_real *scratch)
{
    const lab_real *restrict scale = l->tensor[LAB_SCALE].value;
    const lab_real *restrict x = r->x, *restrict dy = r->dy;
    const uint64_t size = lab_size(l->in_shape);
    const lab_real mean = r->mean, rstd = r->rstd;
    lab_real *restrict g = scratch, *restrict n = scratch + size, *restrict dx = r->dx;
    for (uint64_t i = 0; i < size; i++) {
        g[i] = dy[i] * scale[i];
        n[i] = (x[i] - mean) * rstd;
        d_shift[i] += dy[i];
        d_scale[i] += dy[i] * n[i];
    }
    if (!dx) return;
    const lab_real sum = (lab_real)(lab_sum(g, size) / (double)size);
    const lab_real product = (lab_real)(lab_sum_products(g, n, size) / (double)size);
    for (uint64_t i = 0; i < size; i++) dx[i] = rstd * (g[i] - sum - n[i] * product);
}

static void backward(lab_layer *l, lab_batch *batch, const lab_block *block)
{
    const uint64_t size = lab_size(l->in_shape);
    lab_real *d_scale = block->grads + l->tensor[LAB_SCALE].offset;
    lab_real *d_shift = block->grads + l->tensor[LAB_SHIFT].offset;
    (void)batch;
    for (uint64_t c = 0; c < l->in_shape.channels; c++) d_scale[c] = d_shift[c] = 0;
    for (uint64_t i = block->first; i < block->first + block->rows; i++) {
        const double *kept = (double *)l->kept + 2 * i;
        const row r = { l->in + i * size, l->d_out + i * size, l->d_in ? l->d_in + i * size : NULL,
                        (lab_real)kept[0], (lab_real)kept[1] };
        if (lab_plane(l->in_shape) == 1) values_backward(l, &r, d_scale, d_shift, block->scratch);
        else planes_backward(l, &r, d_scale, d_shift);
    }
}

static const lab_layer_kind layer_norm = { .forward = forward, .backward = backward };

void lab_layer_norm(lab_layer *l, const char *name, lab_shape in)
{
    l->kind = &layer_norm;
    l->in_shape = l->out_shape = in;
    l->kept_bytes = 2 * sizeof(double);
    l->scratch_count = 2 * lab_size(in);
    l->work = 8 * lab_size(in);
    lab_norm_vector(l, name, "scale", LAB_VECTOR, 1);
    lab_norm_vector(l, name, "shift", LAB_VECTOR, 0);
}
