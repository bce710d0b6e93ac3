#include "lab/transformer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/data_parts.h"
#include "lab/model_inside.h"

/* So many sequences are a block: few enough that two cores have the same to do in a batch
 * of twelve, and enough that a product has many rows for weights that are packed once. */
enum { SEQUENCES = 3 };

/* What weights start as (Radford et al., 2019): products at this deviation, and those
 * before a sum smaller, so that many sums do not grow. */
static const double DEVIATION = 0.02;

static eden_status outside(const char *name, uint64_t value, uint64_t most, eden_error *error)
{
    return data_fail(error, EDEN_E_VALUE, "%s = %llu is outside 1 to %llu", name,
                     (unsigned long long)value, (unsigned long long)most);
}

static eden_status check(const lab_transformer_config *c, eden_error *error)
{
    if (!c->layers || c->layers > LAB_MOST_BLOCK_LAYERS)
        return outside("layers", c->layers, LAB_MOST_BLOCK_LAYERS, error);
    if (!c->width || c->width > 65536) return outside("width", c->width, 65536, error);
    if (!c->context || c->context > LAB_MOST_CONTEXT)
        return outside("context", c->context, LAB_MOST_CONTEXT, error);
    if (!c->heads || c->width % c->heads)
        return data_fail(error, EDEN_E_VALUE, "heads = %llu do not divide width = %llu",
                         (unsigned long long)c->heads, (unsigned long long)c->width);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return data_fail(error, EDEN_E_VALUE,
                         "dropout is at least 0 and less than 1: 1 leaves nothing to learn from");
    return EDEN_OK;
}

/* A product whose weights start with a deviation. */
static lab_shape product(lab_model *m, const char *name, lab_shape in, uint64_t out,
                         double deviation)
{
    lab_layer *l = lab_model_next(m);
    lab_dense(l, name, in, out, 1, deviation * deviation * (double)lab_size(in));
    return l->out_shape;
}

static lab_layer *begin_branch(lab_model *m, lab_shape in, const char *norm)
{
    lab_layer *fork = lab_model_next(m);
    lab_fork(fork, in);
    lab_layer_norm(lab_model_next(m), norm, in);
    return fork;
}

static void end_branch(lab_model *m, lab_layer *fork, double dropout)
{
    if (dropout > 0) lab_dropout(lab_model_next(m), fork->in_shape, dropout);
    lab_residual(lab_model_next(m), fork);
}

static void add_block(lab_model *m, const lab_transformer_config *c, uint64_t number)
{
    char norm[24], first[24], second[24];
    const lab_shape in = { c->width, 1, 1 };
    const unsigned n = (unsigned)number;
    const double last = DEVIATION / sqrt(2 * (double)c->layers);
    snprintf(norm, sizeof norm, "block%u.norm1", n);
    snprintf(first, sizeof first, "block%u.attention", n);
    snprintf(second, sizeof second, "block%u.joined", n);
    lab_layer *fork = begin_branch(m, in, norm);
    product(m, first, in, 3 * c->width, DEVIATION);
    lab_attention(lab_model_next(m), c->width, c->heads, c->context);
    product(m, second, in, c->width, last);
    end_branch(m, fork, c->dropout);
    snprintf(norm, sizeof norm, "block%u.norm2", n);
    snprintf(first, sizeof first, "block%u.up", n);
    snprintf(second, sizeof second, "block%u.down", n);
    fork = begin_branch(m, in, norm);
    const lab_shape wide = product(m, first, in, 4 * c->width, DEVIATION);
    lab_gelu(lab_model_next(m), wide);
    product(m, second, wide, c->width, last);
    end_branch(m, fork, c->dropout);
}

static void add_layers(lab_model *m, const lab_transformer_config *c)
{
    const lab_shape in = { c->width, 1, 1 };
    lab_layer *embedding = lab_model_next(m), *head;
    lab_embedding(embedding, "embedding", LAB_BYTES, c->context, c->width, DEVIATION);
    if (c->dropout > 0) lab_dropout(lab_model_next(m), in, c->dropout);
    for (uint64_t i = 1; i <= c->layers; i++) add_block(m, c, i);
    lab_layer_norm(lab_model_next(m), "norm", in);
    head = lab_model_next(m);
    lab_tied(head, embedding);
    lab_cross_entropy_wide(lab_model_next(m), head->out_shape);
}

static void describe(lab_model *m, const lab_transformer_config *c)
{
    char *at = m->text, *end = m->text + sizeof m->text;
    at += snprintf(at, (size_t)(end - at), "transformer of %llu layer%s, %llu head%s, width %llu, "
                   "context %llu", (unsigned long long)c->layers, c->layers == 1 ? "" : "s",
                   (unsigned long long)c->heads, c->heads == 1 ? "" : "s",
                   (unsigned long long)c->width, (unsigned long long)c->context);
    if (c->dropout > 0)
        at += snprintf(at, (size_t)(end - at), ", dropout %llu %%",
                       (unsigned long long)(100 * c->dropout + 0.5));
    at += snprintf(at, (size_t)(end - at), ", ");
    lab_model_count_text(m->weights, at, end);
}

eden_status lab_transformer_create(lab_model **model, const lab_transformer_config *c,
                                   eden_error *error)
{
    if (!model || !c)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_transformer_create() was given NULL");
    eden_status status = check(c, error);
    if (status) return status;
    lab_model *m = calloc(1, sizeof *m);
    if (!m) return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model");
    m->seed = c->seed;
    m->features = 1;
    m->classes = m->tokens = LAB_BYTES;
    m->unit = c->context;
    add_layers(m, c);
    if (!lab_model_complete(m, SEQUENCES * c->context)) status = lab_model_too_large(error);
    else describe(m, c);
    return lab_model_ready(model, m, c->threads, status, error);
}
