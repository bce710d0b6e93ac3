/* update.c - what a training loop calls. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "optimizer/shard.h"
#include "optimizer/text.h"

/* Squares of gradients above 2^64 are no longer floats. A mean of squares may end a few
 * roundings above the largest, and must not round to an infinite bf16 either. */
#define LARGEST_GRADIENT 1.8e19f

static const eden_grad_scale neutral = { 1, INFINITY, 1 };

static int has_grad(const eden_entry *entry) { return entry->tensor.grad != NULL; }
static int is_due(const eden_entry *entry) { return entry->tensor.grad && !entry->early; }
static int is_ahead(const eden_entry *entry) { return entry->ahead; }
static int left_behind(const eden_entry *entry) { return entry->ahead && !entry->tensor.grad; }
static int not_yet_ahead(const eden_entry *entry) { return !entry->ahead && entry->tensor.grad; }

eden_status eden_not_ahead(const eden_optimizer *o, const char *call, eden_error *error)
{
    const eden_status status = eden_not_busy(o, call, error);
    if (status) return status;
    if (o->swapped)
        return eden_fail(error, EDEN_E_ORDER, "%s: the averages are where the weights were; return with "
                         "eden_swap_average() first", call);
    if (!o->looking_ahead) return eden_not_early(o, call, error);
    return eden_fail(error, EDEN_E_ORDER, "%s: the weights are at their look-ahead point; finish with "
                     "eden_step() or eden_lookahead_end() first", call);
}

/* ---- gradients that cannot be used ------------------------------------------------ */

static float float_of(uint32_t u)
{
    union { uint32_t u; float f; } b;
    b.u = u;
    return b.f;
}

static uint32_t bits_of(float f)
{
    union { uint32_t u; float f; } b;
    b.f = f;
    return b.u;
}

/* What the value of a scaled gradient is to be read with; "" without a scale. */
static const char *with_scale(const eden_optimizer *o, char text[64])
{
    char number[EDEN_NUMBER_ROOM];
    text[0] = 0;
    if (o->config.loss_scale > 0)
        snprintf(text, 64, ", with the loss times %s", eden_print_number(o->loss_scale, number));
    return text;
}

/* Find the first element whose magnitude is above `limit`, of this rank's. */
static eden_bad_gradient find_bad(const eden_optimizer *o, float limit)
{
    for (size_t i = 0; i < o->plan->count; i++) {
        const eden_entry *entry = &o->tensors[o->plan->items[i].entry];
        const size_t n = (size_t)entry->extent.count;
        if (!entry->tensor.grad) continue;
        float g = 0;
        const size_t at = eden_find_gradient(o, entry, bits_of(limit), &g);
        if (at < n) return (eden_bad_gradient){ i, at, (double)g };
    }
    return (eden_bad_gradient){ UINT64_MAX, 0, 0 };
}

/* Name it. */
static eden_status bad_gradient(eden_optimizer *o, float limit, eden_error *error)
{
    eden_bad_gradient bad = find_bad(o, limit);
    eden_first_of_ranks(o, &bad);
    if (bad.item == UINT64_MAX)
        return eden_fail(error, EDEN_E_GRADIENT, "a gradient changed while it was read; nothing has changed");
    char number[EDEN_NUMBER_ROOM], scale[64];
    const double g = bad.value;
    const int finite = g - g == 0;
    return eden_fail(error, EDEN_E_GRADIENT, "step %llu refused: the gradient of '%s' is %s at element "
                     "%llu%s%s; nothing has changed", (unsigned long long)o->steps + 1,
                     o->tensors[o->plan->items[bad.item].entry].name,
                     g != g ? "NaN" : !finite ? (g > 0 ? "infinite" : "-infinite") : eden_print_number(g, number),
                     (unsigned long long)bad.element, with_scale(o, scale), finite ? ", too large to square" : "");
}

/* Look at the gradients and complete the scale with the norm's factor. *skip is 1
 * if the step is to be skipped. */
static eden_status judge_gradients(eden_optimizer *o, eden_grad_scale *scale, int *skip,
                                   eden_error *error)
{
    const double clip = o->config.clip_norm;
    *skip = 0;
    if (clip == 0 && o->config.nonfinite == EDEN_APPLY) return EDEN_OK;

    const eden_gradients all = eden_scan_gradients(o, scale, clip > 0);
    if (o->broken.status) return eden_not_broken(o, error);
    const double norm = sqrt(all.norm2);
    const float post = clip > 0 && !(norm <= clip) ? (float)(clip / norm) : 1;
    float limit = float_of(EDEN_INFINITY_BITS - 1);
    int bad = all.top >= EDEN_INFINITY_BITS;
    if (bad && eden_lower_loss_scale(o)) {
        *skip = 1;
        return EDEN_OK;
    }
    if (!bad) {
        const float top = float_of(all.top) * fabsf(scale->pre);
        bad = (top < scale->limit ? top : scale->limit) * post > LARGEST_GRADIENT;
        limit = bad ? LARGEST_GRADIENT / post / fabsf(scale->pre) : limit;
    }
    if (bad && o->config.nonfinite == EDEN_REFUSE) return bad_gradient(o, limit, error);
    *skip = bad && o->config.nonfinite == EDEN_SKIP;
    if (clip > 0 && !*skip) o->grad_norm = norm, scale->post = post;
    return EDEN_OK;
}

/* ---- the step ------------------------------------------------------------------------ */

/* No tensor has taken more steps than the optimizer. */
static eden_status check_counts(const eden_optimizer *o, eden_error *error)
{
    if (o->steps == UINT64_MAX)
        return eden_fail(error, EDEN_E_OVERFLOW, "the optimizer has taken 2^64 - 1 steps, the most there are");
    if (o->skipped == UINT64_MAX && (o->config.nonfinite == EDEN_SKIP || o->config.loss_scale > 0))
        return eden_fail(error, EDEN_E_OVERFLOW, "the optimizer has skipped 2^64 - 1 steps, the most it can count");
    return EDEN_OK;
}

/* Everything that may refuse the step before gradients are looked at. */
static eden_status make_ready(eden_optimizer *o, eden_error *error)
{
    eden_status status = o->swapped ? eden_not_ahead(o, "eden_step", error) : eden_refresh(o, error);
    if (!status) status = check_counts(o, error);
    if (!status && o->config.zero_grad) status = eden_check_writable(o, "eden_step", error);
    if (!status && !o->early) status = eden_schedule_all(o, o->steps + 1, error);
    if (!status && eden_has_lookahead(o) && !o->looking_ahead)
        status = eden_fail(error, EDEN_E_ORDER, "lookahead = 1 wants eden_lookahead_begin() before each "
                                                "gradient is computed");
    return status;
}

/* Weights whose gradient came or went during a look-ahead go where they belong. */
static void settle_lookahead(eden_optimizer *o)
{
    if (!o->looking_ahead) return;
    eden_run_program(o, EDEN_BACK, left_behind, &neutral);
    eden_run_program(o, EDEN_BEFORE, not_yet_ahead, &neutral);
}

static void leave_lookahead(eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++) o->tensors[i].ahead = 0;
    o->looking_ahead = 0;
}

static void go_back(eden_optimizer *o)
{
    eden_run_program(o, EDEN_BACK, is_ahead, &neutral);
    leave_lookahead(o);
}

/* Gradients that no rule has looked at. */
static void zero_frozen(eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_tensor *t = &o->tensors[i].tensor;
        const uint32_t codec = eden_codec_of(t->grad_dtype, 0);
        if (t->grad && t->flags & EDEN_FROZEN)
            memset(t->grad, 0, (size_t)eden_codec_bytes(codec, o->tensors[i].extent.count));
    }
}

eden_grad_scale eden_step_scale(const eden_optimizer *o)
{
    eden_grad_scale scale = neutral;
    scale.pre = (float)((o->config.maximize ? -1.0 : 1.0) / o->config.accumulate / o->loss_scale);
    if (o->config.clip_value > 0) scale.limit = (float)o->config.clip_value;
    return scale;
}

/* The step has been taken. */
static void count_step(eden_optimizer *o)
{
    const int averages = eden_averages_at(o, ++o->steps);
    o->early = 0;
    eden_raise_loss_scale(o);
    for (size_t i = 0; i < o->tensor_count; i++) {
        eden_entry *entry = &o->tensors[i];
        const int took_part = entry->early || entry->tensor.grad;
        entry->early = 0;
        if (!took_part || entry->tensor.flags & EDEN_FROZEN) continue;
        entry->steps++;
        entry->averaged += (uint64_t)averages;
    }
}

static eden_status step(eden_optimizer *o, eden_error *error)
{
    int skip;
    const uint32_t counts = o->backend ? o->backend->counts : 1;
    const int last = o->pending + counts >= o->config.accumulate;
    eden_status status = eden_not_broken(o, error);
    if (status) return status;
    status = make_ready(o, error);
    if (o->backend && (last || o->backend->every)) status = o->backend->begin(o->backend, o, last, status, error);
    if (status) return status;
    if (!last) {
        o->pending += counts;
        return EDEN_OK;
    }
    eden_grad_scale scale = eden_step_scale(o);
    status = judge_gradients(o, &scale, &skip, error);
    o->refused = status == EDEN_E_GRADIENT;
    if (status) return status;
    o->pending = 0;
    if (skip) {
        o->skipped++;
        o->good = 0;
        const int moves = o->looking_ahead;
        if (moves) go_back(o);
        if (o->config.zero_grad) eden_zero_all(o);
        return moves ? eden_share_weights(o, error) : EDEN_OK;
    }
    settle_lookahead(o);
    eden_run_program(o, EDEN_STEP, is_due, &scale);
    leave_lookahead(o);
    if (o->config.zero_grad) zero_frozen(o);
    if (o->config.zero_grad && o->backend) eden_zero_others(o);
    status = eden_share_weights(o, error);
    if (!status) count_step(o);
    return status;
}

/* ---- look-ahead -------------------------------------------------------------------------- */

static eden_status lookahead_begin(eden_optimizer *o, eden_error *error)
{
    eden_status status = eden_not_broken(o, error);
    if (status) return status;
    status = eden_not_ahead(o, "eden_lookahead_begin", error);
    if (!status) status = eden_refresh(o, error);
    if (!status) status = eden_schedule_all(o, o->steps + 1, error);
    if (!status && !eden_has_lookahead(o))
        status = eden_fail(error, EDEN_E_ORDER, "eden_lookahead_begin: no group has a rule with lookahead = 1");
    if (o->backend) status = o->backend->vote(o->backend, status, error);
    if (status) return status;
    eden_run_program(o, EDEN_BEFORE, has_grad, &neutral);
    for (size_t i = 0; i < o->tensor_count; i++)
        o->tensors[i].ahead = o->tensors[i].tensor.grad && !(o->tensors[i].tensor.flags & EDEN_FROZEN);
    o->looking_ahead = 1;
    return eden_share_weights(o, error);
}

static eden_status lookahead_end(eden_optimizer *o, eden_error *error)
{
    if (!o->looking_ahead)
        return eden_fail(error, EDEN_E_ORDER, "eden_lookahead_end: eden_lookahead_begin() has not been called");
    go_back(o);
    return eden_share_weights(o, error);
}

/* ---- in a floating-point environment of our own --------------------------------------------- */

static eden_status guarded(eden_status (*call)(eden_optimizer *, eden_error *), const char *name,
                           eden_optimizer *o, eden_error *error)
{
    eden_float_env saved;
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "%s: optimizer is NULL", name);
    eden_status status = eden_not_busy(o, name, error);
    if (status) return status;
    eden_float_enter(&saved);
    status = call(o, error);
    eden_float_leave(&saved);
    return status;
}

eden_status eden_step(eden_optimizer *o, eden_error *error)
{
    return guarded(step, "eden_step", o, error);
}

eden_status eden_lookahead_begin(eden_optimizer *o, eden_error *error)
{
    return guarded(lookahead_begin, "eden_lookahead_begin", o, error);
}

eden_status eden_lookahead_end(eden_optimizer *o, eden_error *error)
{
    return guarded(lookahead_end, "eden_lookahead_end", o, error);
}
