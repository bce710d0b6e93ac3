/* arrays.c - calls that are one and whole, for a binding to arrays.
 *
 * An interpreter can be interrupted between any two calls. What belongs together, such
 * as all gradients and their step, is therefore one call here, and nothing here calls
 * back: what a function of the interpreter computes is brought along. */
#include "native/arrays.h"

#include <math.h>
#include <string.h>

double eden_arrays_factor(uint64_t step, void *context)
{
    const eden_arrays_at *at = context;
    return at->step == step ? at->value : NAN;
}

void eden_arrays_tell(void *context, const char *difference)
{
    eden_arrays_told *told = context;
    const size_t bytes = strlen(difference);
    if (told->room - told->used < bytes + 1) {
        told->lost++;
        return;
    }
    memcpy(told->text + told->used, difference, bytes);
    told->used += bytes;
    told->text[told->used++] = '\n';
}

void eden_arrays_gather(void *to, const void *from, size_t bytes, size_t ndim, const uint64_t *shape,
                        const int64_t *strides)
{
    char *out = to;
    if (ndim == 0) {
        memcpy(out, from, bytes);
        return;
    }
    uint64_t below = bytes;
    for (size_t d = 1; d < ndim; d++) below *= shape[d];
    for (uint64_t i = 0; i < shape[0] && below; i++, out += below)
        eden_arrays_gather(out, (const char *)from + (int64_t)i * strides[0], bytes, ndim - 1, shape + 1,
                           strides + 1);
}

/* ---- micro-batches ------------------------------------------------------------------ */

enum { PIECE = 1024 };

static size_t width(uint32_t dtype) { return dtype == EDEN_F32 ? 4 : 2; }

static void add(float *sum, const void *grad, uint32_t dtype, uint64_t count, int begun)
{
    float piece[PIECE];
    for (uint64_t at = 0; at < count; at += PIECE) {
        const uint64_t n = count - at < PIECE ? count - at : PIECE;
        eden_convert(piece, EDEN_F32, (const char *)grad + at * width(dtype), dtype, n);
        for (uint64_t i = 0; i < n; i++) sum[at + i] = begun ? sum[at + i] + piece[i] : piece[i];
    }
}

static void add_all(const eden_arrays_step *s)
{
    for (size_t i = 0; i < s->tensors; i++) {
        if (!s->grads[i]) continue;
        add(s->sums[i], s->grads[i], s->dtypes[i], s->counts[i], s->begun[i] != 0);
        s->begun[i] = 1;
    }
    ++*s->taken;
}

static void give_up(const eden_arrays_step *s)
{
    for (size_t i = 0; i < s->tensors; i++) s->begun[i] = 0;
    *s->taken = 0;
}

/* ---- a step -------------------------------------------------------------------------- */

static eden_status let_go(eden_optimizer *o, const eden_arrays_step *s, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < s->tensors; i++) {
        const eden_status now = eden_set_grad(o, s->names[i], NULL, status ? NULL : error);
        if (!status) status = now;
    }
    return status;
}

static eden_status step_with(eden_optimizer *o, const eden_arrays_step *s, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; !status && i < s->tensors; i++) {
        void *grad = s->sums ? (s->begun[i] ? s->sums[i] : NULL) : s->grads[i];
        status = eden_set_grad(o, s->names[i], grad, error);
    }
    if (!status) status = eden_step(o, error);
    /* The count begins again, too. */
    if (status == EDEN_E_GRADIENT && s->sums) eden_zero_grad(o, NULL);
    const eden_status after = let_go(o, s, status ? NULL : error);
    return status ? status : after;
}

eden_status eden_arrays_take_step(eden_optimizer *o, const eden_arrays_step *s, eden_error *error)
{
    if (!s->sums) return step_with(o, s, error);
    if (*s->taken + 1 < s->accumulate) {
        const eden_status status = eden_step(o, error);
        if (!status) add_all(s);
        return status;
    }
    if (*s->taken < s->accumulate) add_all(s);
    const eden_status status = step_with(o, s, error);
    if (!status || status == EDEN_E_GRADIENT) give_up(s);
    return status;
}

eden_status eden_arrays_look_ahead(eden_optimizer *o, const eden_arrays_step *s, void *const *places,
                                   eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; !status && i < s->tensors; i++)
        status = eden_set_grad(o, s->names[i], places[i], error);
    if (!status) status = eden_lookahead_begin(o, error);
    const eden_status after = let_go(o, s, status ? NULL : error);
    return status ? status : after;
}

eden_status eden_arrays_load(eden_optimizer *o, const char *path, uint32_t parts, eden_load_report *report,
                             const eden_arrays_step *s, eden_error *error)
{
    const eden_status status = eden_load_as(o, path, parts, report, error);
    if (!status && s->sums) give_up(s);
    return status;
}
