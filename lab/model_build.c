/* model_build.c - from a config to a list of layers. */
#include "lab/model_inside.h"

#include "lab/data_parts.h"

#include <stdio.h>
#include <string.h>

enum { MOST_WIDTHS = 16, MOST_WIDTH = 65536 };

/* So many weights are 1 GiB of float32, and as much of each state slot. */
static const uint64_t MOST_WEIGHTS = (uint64_t)1 << 28;

typedef enum { NORM_NONE, NORM_BATCH, NORM_LAYER } norm_kind;

/* What the config says, checked. */
typedef struct {
    const char *kind;
    int images;          /* it convolves */
    uint64_t width[MOST_WIDTHS];
    uint32_t widths;
    norm_kind norm;
    double dropout;
} plan;

/* ---- reading the config -------------------------------------------------------------- */

eden_status lab_model_read_widths(const char *text, uint64_t *widths, uint32_t most,
                                  uint32_t *count, eden_error *error)
{
    const char *at = text;
    for (;;) {
        uint64_t width = 0;
        size_t digits = 0;
        for (; at[digits] >= '0' && at[digits] <= '9' && width <= MOST_WIDTH; digits++)
            width = 10 * width + (uint64_t)(at[digits] - '0');
        if (width > MOST_WIDTH)
            return data_fail(error, EDEN_E_VALUE, "widths '%.80s': the largest width is %d", text,
                             (int)MOST_WIDTH);
        at += digits;
        if (digits == 0 || (*at && *at != ','))
            return data_fail(error, EDEN_E_VALUE,
                             "widths '%.80s' are not whole numbers with commas between them, "
                             "such as 128,64", text);
        if (width == 0)
            return data_fail(error, EDEN_E_VALUE,
                             "widths '%.80s': a layer of width 0 has no weights", text);
        if (*count == most)
            return data_fail(error, EDEN_E_VALUE, "widths '%.80s': at most %lu layers", text,
                             (unsigned long)most);
        widths[(*count)++] = width;
        if (!*at++) return EDEN_OK;
    }
}

static eden_status read_norm(plan *p, const char *norm, eden_error *error)
{
    static const char *const names[] = { "none", "batch", "layer" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(norm, names[i]) != 0) continue;
        p->norm = (norm_kind)i;
        return EDEN_OK;
    }
    return data_fail(error, EDEN_E_NAME, "'%.80s' is no normalization: it is none, batch or layer",
                     norm);
}

/* The defaults of a kind, and then what the config says instead. */
static eden_status read_config(plan *p, const lab_model_config *config, eden_error *error)
{
    static const struct {
        const char *kind, *widths, *norm;
        double dropout;
        int images;
    } kinds[] = { { "logistic", NULL, "none", 0, 0 },
                  { "mlp", "256,128", "none", 0.2, 0 },
                  { "cnn", "16,32", "batch", 0.25, 1 },
                  { "resnet", "16,32,64", "batch", 0, 1 } };
    enum { KINDS = sizeof kinds / sizeof *kinds };
    size_t k = 0;
    if (!config->kind) return data_fail(error, EDEN_E_ARGUMENT, "the model has no kind");
    while (k < KINDS && strcmp(config->kind, kinds[k].kind) != 0) k++;
    if (k == KINDS)
        return data_fail(error, EDEN_E_NAME,
                         "'%.80s' is no model: there are logistic, mlp, cnn and resnet", config->kind);
    p->kind = kinds[k].kind;
    p->images = kinds[k].images;
    p->dropout = config->dropout < 0 ? kinds[k].dropout : config->dropout;
    if (!(p->dropout < 1))
        return data_fail(error, EDEN_E_VALUE,
                         "dropout is at least 0 and less than 1: 1 leaves nothing to learn from");
    eden_status status = read_norm(p, config->norm ? config->norm : kinds[k].norm, error);
    if (status) return status;
    if (k == 0 && config->widths)
        return data_fail(error, EDEN_E_VALUE,
                         "widths '%.80s' say nothing to logistic, which has one layer: choose mlp",
                         config->widths);
    if (k == 0 && p->norm != NORM_NONE)
        return data_fail(error, EDEN_E_VALUE,
                         "logistic has one layer and nothing to normalize: choose mlp");
    return k == 0 ? EDEN_OK
                  : lab_model_read_widths(config->widths ? config->widths : kinds[k].widths, p->width,
                                         MOST_WIDTHS, &p->widths, error);
}

/* ---- adding layers ---------------------------------------------------------------------- */

lab_layer *lab_model_next(lab_model *m)
{
    lab_layer *l = &m->layer[m->layers];
    l->number = m->layers++;
    return l;
}

static lab_shape last_shape(const lab_model *m) { return m->layer[m->layers - 1].out_shape; }

static eden_status add_norm(lab_model *m, norm_kind norm, const char *name, eden_error *error)
{
    const lab_shape in = last_shape(m);
    if (norm == NORM_LAYER) lab_layer_norm(lab_model_next(m), name, in);
    if (norm == NORM_BATCH && !lab_batch_norm(lab_model_next(m), name, in))
        return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model");
    return EDEN_OK;
}

/* A bias before batch normalization would be taken off again with the mean. */
static eden_status add_hidden(lab_model *m, const plan *p, lab_shape in, eden_error *error)
{
    char name[16], norm[16];
    for (uint32_t i = 0; i < p->widths; i++) {
        snprintf(name, sizeof name, "layer%u", i + 1);
        snprintf(norm, sizeof norm, "norm%u", i + 1);
        lab_dense(lab_model_next(m), name, in, p->width[i], p->norm != NORM_BATCH, 2);
        const eden_status status = add_norm(m, p->norm, norm, error);
        if (status) return status;
        in = last_shape(m);
        lab_relu(lab_model_next(m), in);
    }
    return EDEN_OK;
}

/* A convolution and its normalization, "conv1" and "norm1" behind `prefix`. */
static eden_status add_convolution(lab_model *m, const plan *p, lab_shape in, const char *prefix,
                                   uint32_t number, uint64_t channels, eden_error *error)
{
    char name[40], norm[40];
    snprintf(name, sizeof name, "%sconv%u", prefix, number);
    snprintf(norm, sizeof norm, "%snorm%u", prefix, number);
    lab_convolution(lab_model_next(m), name, in, channels, p->norm != NORM_BATCH);
    return add_norm(m, p->norm, norm, error);
}

/* Two convolutions whose result is added to what went in (He et al., 2016). */
static eden_status add_residual(lab_model *m, const plan *p, uint32_t number, eden_error *error)
{
    char prefix[20];
    const lab_shape in = last_shape(m);
    lab_layer *fork = lab_model_next(m);
    lab_fork(fork, in);
    snprintf(prefix, sizeof prefix, "block%u.", number);
    eden_status status = add_convolution(m, p, in, prefix, 1, in.channels, error);
    if (status) return status;
    lab_relu(lab_model_next(m), in);
    status = add_convolution(m, p, in, prefix, 2, in.channels, error);
    if (status) return status;
    lab_residual(lab_model_next(m), fork);
    lab_relu(lab_model_next(m), in);
    return EDEN_OK;
}

/* A cnn halves the image behind each convolution; a resnet behind each but the first, and
 * has a residual block for each width. ReLU comes after the pooling, where it is the same
 * and a quarter of the work. */
static eden_status add_convolutions(lab_model *m, const plan *p, lab_shape in, eden_error *error)
{
    const int residual = !strcmp(p->kind, "resnet");
    for (uint32_t i = 0; i < p->widths; i++) {
        const int halves = !(residual && i == 0);
        if (halves && (in.height < 2 || in.width < 2))
            return data_fail(error, EDEN_E_SHAPE,
                             "an image of %llu x %llu can be halved %u times and not %u: "
                             "give the %s fewer layers",
                             (unsigned long long)m->layer[0].in_shape.height,
                             (unsigned long long)m->layer[0].in_shape.width, i - (uint32_t)residual,
                             p->widths - (uint32_t)residual, p->kind);
        eden_status status = add_convolution(m, p, in, "", i + 1, p->width[i], error);
        if (status) return status;
        in = last_shape(m);
        if (halves) lab_max_pool(lab_model_next(m), in);
        in = last_shape(m);
        lab_relu(lab_model_next(m), in);
        if (residual) status = add_residual(m, p, i + 1, error);
        if (status) return status;
        in = last_shape(m);
    }
    if (residual) lab_average_pool(lab_model_next(m), in);
    return EDEN_OK;
}

static void add_end(lab_model *m, const plan *p, lab_shape in, uint64_t outputs)
{
    char name[16];
    snprintf(name, sizeof name, "layer%u", p->images ? 1 : p->widths + 1);
    if (m->layers) in = last_shape(m);
    if (p->dropout > 0) lab_dropout(lab_model_next(m), in, p->dropout);
    lab_dense(lab_model_next(m), name, in, outputs, 1, 1);
    in = last_shape(m);
    if (m->classes) lab_cross_entropy(lab_model_next(m), in);
    else lab_squared_error(lab_model_next(m), in);
}

/* ---- limits and programs ------------------------------------------------------------------ */

enum { SUMMED, WHOLE, RUNNING };

/* How the gradient of a layer's tensor is made; see lab_layer_kind. */
static int making(const lab_layer *l, uint32_t tensor)
{
    if (l->tensor[tensor].role == LAB_RUNNING) return RUNNING;
    return l->kind->weights && tensor == 0 ? WHOLE : SUMMED;
}

/* Where each tensor's values are, and the totals. Values begin on multiples of 64
 * bytes. Returns 0 if there are too many. */
static int place(lab_model *m)
{
    const uint64_t unit = 64 / sizeof(lab_real);
    for (int made = SUMMED; made <= RUNNING; made++) {
        for (uint32_t i = 0; i < m->layers; i++)
            for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
                lab_tensor *t = &m->layer[i].tensor[k];
                if (making(&m->layer[i], k) != made) continue;
                t->count = 1;
                for (uint32_t d = 0; d < t->ndim; d++)
                    if (__builtin_mul_overflow(t->count, t->shape[d], &t->count)) return 0;
                if (t->count > MOST_WEIGHTS || m->weights + t->count > MOST_WEIGHTS) return 0;
                if (made != RUNNING) m->weights += t->count;
                if (made == WHOLE) m->parts += (t->shape[0] - 1) / LAB_PART_ROWS + 1;
                t->offset = m->all;
                m->all += (t->count + unit - 1) / unit * unit;
            }
        if (made == SUMMED) m->summed = m->all;
        if (made == WHOLE) m->learned = m->all;
    }
    return 1;
}

static void append(lab_program *program, lab_layer *l, lab_block_step *each, lab_batch_step *join)
{
    if (each || join) program->step[program->steps++] = (lab_model_step){ l, each, join };
}

static void make_programs(lab_model *m)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        lab_layer *l = &m->layer[i];
        append(&m->train, l, l->kind->forward_gather, l->kind->forward_join);
        append(&m->train, l, l->kind->forward, NULL);
        append(&m->eval, l, l->kind->forward, NULL);
    }
    for (uint32_t i = m->layers; i-- > 0;) {
        lab_layer *l = &m->layer[i];
        append(&m->train, l, l->kind->backward_gather, l->kind->backward_join);
        append(&m->train, l, l->kind->backward, NULL);
    }
}

/* Convolutions are products for an image or a few, so that small blocks cost them
 * nothing; products of dense layers want more rows. Each block has summed gradients of
 * its own, which a large model can afford for fewer blocks. */
static void set_limits(lab_model *m, uint64_t least_rows)
{
    const uint64_t values = (uint64_t)1 << 26;
    m->least_rows = least_rows;
    m->most_blocks = m->summed ? values / m->summed : LAB_MOST_BLOCKS;
    if (m->most_blocks < 1) m->most_blocks = 1;
    if (m->most_blocks > LAB_MOST_BLOCKS) m->most_blocks = LAB_MOST_BLOCKS;
    for (uint32_t i = 0; i < m->layers; i++) {
        m->work += m->layer[i].work;
        if (m->layer[i].scratch_count > m->scratch_count)
            m->scratch_count = m->layer[i].scratch_count;
    }
    m->scratch_count = (m->scratch_count + 15) / 16 * 16;
}

int lab_model_complete(lab_model *m, uint64_t least_rows)
{
    if (!place(m)) return 0;
    set_limits(m, least_rows);
    make_programs(m);
    return 1;
}

eden_status lab_model_too_large(eden_error *error)
{
    return data_fail(error, EDEN_E_VALUE, "the model has more than %llu weights: choose "
                     "smaller widths", (unsigned long long)MOST_WEIGHTS);
}

/* ---- describing ------------------------------------------------------------------------------ */

/* Digits in threes. */
void lab_model_count_text(uint64_t weights, char *at, const char *end)
{
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)weights);
    for (size_t i = 0, n = strlen(number); i < n && end - at > 1; i++) {
        if (i > 0 && (n - i) % 3 == 0) *at++ = ',';
        *at++ = number[i];
    }
    snprintf(at, (size_t)(end - at), " weights");
}

static void describe(lab_model *m, const plan *p, const lab_data *data, uint64_t outputs)
{
    char *at = m->text, *end = m->text + sizeof m->text;
    if (p->images)
        at += snprintf(at, (size_t)(end - at), "%s %ux%ux%u", p->kind, data->channels,
                       data->height, data->width);
    else
        at += snprintf(at, (size_t)(end - at), "%s %llu", p->kind,
                       (unsigned long long)data->features);
    for (uint32_t i = 0; i < p->widths; i++)
        at += snprintf(at, (size_t)(end - at), "-%llu", (unsigned long long)p->width[i]);
    at += snprintf(at, (size_t)(end - at), "-%llu", (unsigned long long)outputs);
    if (p->norm)
        at += snprintf(at, (size_t)(end - at), ", %s norm", p->norm == NORM_BATCH ? "batch" : "layer");
    if (p->dropout > 0)
        at += snprintf(at, (size_t)(end - at), ", dropout %llu %%",
                       (unsigned long long)(100 * p->dropout + 0.5));
    *at++ = ',';
    *at++ = ' ';
    lab_model_count_text(m->weights, at, end);
}

eden_status lab_model_build(lab_model *m, const lab_model_config *config, const lab_data *data,
                            eden_error *error)
{
    plan p = { 0 };
    eden_status status = read_config(&p, config, error);
    if (status) return status;
    const lab_shape in = { data->channels, data->height, data->width };
    const uint64_t outputs = data->classes ? data->classes : 1;
    if (data->features == 0 || lab_size(in) != data->features || data->features > INT32_MAX)
        return data_fail(error, EDEN_E_SHAPE, "the data have rows of %llu values and say %u x %u x %u",
                         (unsigned long long)data->features, data->channels, data->height,
                         data->width);
    if (p.images && (data->height == 1 || data->width == 1))
        return data_fail(error, EDEN_E_SHAPE,
                         "a %s needs images, and '%s' is a table: choose mlp or logistic", p.kind,
                         data->name);
    m->seed = config->seed;
    m->features = data->features;
    m->classes = data->classes;
    m->layer[0].in_shape = in;
    status = p.images ? add_convolutions(m, &p, in, error) : add_hidden(m, &p, in, error);
    if (status) return status;
    add_end(m, &p, in, outputs);
    if (!lab_model_complete(m, p.images ? 8 : 32)) return lab_model_too_large(error);
    describe(m, &p, data, outputs);
    return EDEN_OK;
}
