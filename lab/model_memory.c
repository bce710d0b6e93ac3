/* model_memory.c - a model's weights, and buffers that grow with the batch. */
#include "lab/model_inside.h"

#include "lab/data_parts.h"
#include "lab/random.h"

#include <stdlib.h>
#include <string.h>

static eden_status no_memory(const lab_model *m, eden_error *error)
{
    return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model %s", m->text);
}

/* Zeroed and aligned to 64 bytes, or NULL. */
static void *allocate(uint64_t bytes)
{
    if (bytes > PTRDIFF_MAX - 64) return NULL;
    const size_t rounded = ((size_t)bytes + 64) / 64 * 64;
    void *memory = aligned_alloc(64, rounded);
    return memory ? memset(memory, 0, rounded) : NULL;
}

/* ---- weights ----------------------------------------------------------------------- */

/* Numbers are a function of the seed and the tensor's name, so that another layer
 * elsewhere leaves them alone. */
static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return lab_random_key(seed, hash);
}

static void fill(lab_tensor *t, uint64_t seed)
{
    const uint64_t key = key_of(seed, t->name);
    for (uint64_t i = 0; i < t->count; i++)
        t->value[i] = (lab_real)(t->bound > 0 ? t->bound * (2 * lab_random_uniform(key, i) - 1)
                                              : t->fill);
}

eden_status lab_model_start(lab_model *m, eden_error *error)
{
    m->values = allocate(m->all * sizeof(lab_real));
    m->grads = allocate(m->learned * sizeof(lab_real));
    if (!m->values || !m->grads) return no_memory(m, error);
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
            lab_tensor *t = &m->layer[i].tensor[k];
            t->value = m->values + t->offset;
            t->grad = t->role == LAB_RUNNING ? NULL : m->grads + t->offset;
            fill(t, m->seed);
        }
    return EDEN_OK;
}

/* ---- buffers ------------------------------------------------------------------------- */

void lab_model_cut(const lab_model *m, uint64_t count, uint64_t *blocks, uint64_t *block_rows)
{
    uint64_t most = (count + m->least_rows - 1) / m->least_rows;
    if (!count) most = 1;
    if (most > m->most_blocks) most = m->most_blocks;
    *block_rows = (count + most - 1) / most;
    if (m->unit) *block_rows = (*block_rows + m->unit - 1) / m->unit * m->unit;
    *blocks = count ? (count + *block_rows - 1) / *block_rows : 0;
}

/* A walk over one allocation; without a base it only measures. */
typedef struct {
    unsigned char *base;
    uint64_t used;
    int overflow;
} walk;

static void *take(walk *w, uint64_t count, uint64_t size)
{
    uint64_t bytes;
    void *at = w->base ? w->base + w->used : NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX / 4 ||
        __builtin_add_overflow(w->used, (bytes + 63) / 64 * 64, &w->used))
        w->overflow = 1;
    return at;
}

static void lay_out(lab_model *m, uint64_t rows, walk *w)
{
    uint64_t blocks = (rows + m->least_rows - 1) / m->least_rows;
    if (blocks > m->most_blocks) blocks = m->most_blocks;
    lab_real *out = m->input = take(w, rows, m->features * sizeof *out), *d_out = NULL;
    if (m->slopes) d_out = m->d_input = take(w, rows, m->features * sizeof *out);
    m->scratch = take(w, lab_workers_count(m->workers), m->scratch_count * sizeof *out);
    m->block_grads = take(w, blocks, m->summed * sizeof *out);
    for (uint32_t i = 0; i < m->layers; i++) {
        lab_layer *l = &m->layer[i];
        l->in = out;
        l->d_in = d_out;
        if (l->kept_bytes) l->kept = take(w, rows, l->kept_bytes);
        if (!l->kind->in_place && lab_size(l->out_shape)) {
            out = take(w, rows, lab_size(l->out_shape) * sizeof *out);
            d_out = take(w, rows, lab_size(l->out_shape) * sizeof *out);
        }
        l->out = out;
        l->d_out = d_out;
    }
}

eden_status lab_model_reserve(lab_model *m, uint64_t rows, eden_error *error)
{
    if (rows <= m->rows) return EDEN_OK;
    /* Measured on a copy, so that a failure changes nothing. */
    walk measure = { NULL, 0, rows > INT32_MAX };
    lab_model *copy = malloc(sizeof *copy);
    if (!copy) return no_memory(m, error);
    *copy = *m;
    lay_out(copy, rows, &measure);
    free(copy);
    void *space = measure.overflow ? NULL : allocate(measure.used);
    if (!space)
        return data_fail(error, EDEN_E_MEMORY,
                         "there is not enough memory for %llu rows at a time in the model %s",
                         (unsigned long long)rows, m->text);
    free(m->space);
    m->space = space;
    m->rows = rows;
    lay_out(m, rows, &(walk){ space, 0, 0 });
    return EDEN_OK;
}
