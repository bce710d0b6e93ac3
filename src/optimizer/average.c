/* average.c - averages of the weights: when, by how much, and in their place. */
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/shard.h"
#include "optimizer/text.h"

/* ---- the config -------------------------------------------------------------------- */

eden_status eden_check_average(const eden_config *c, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    const char *idle = c->average_decay != 0 ? "average_decay"
                       : c->average_start    ? "average_start"
                       : c->average_every    ? "average_every" : NULL;
    if (c->average > EDEN_SWA)
        return eden_fail(error, EDEN_E_VALUE, "config.average = %u is none of EDEN_NO_AVERAGE, EDEN_EMA, "
                         "EDEN_SWA", c->average);
    if (c->average == EDEN_NO_AVERAGE && idle)
        return eden_fail(error, EDEN_E_VALUE, "config.%s has no effect without config.average", idle);
    if (c->average == EDEN_SWA && c->average_decay != 0)
        return eden_fail(error, EDEN_E_VALUE, "config.average_decay has no effect on EDEN_SWA, a plain mean; "
                         "use EDEN_EMA");
    if (c->average == EDEN_EMA && !(c->average_decay > 0 && c->average_decay < 1))
        return eden_fail(error, EDEN_E_VALUE, "config.average_decay = %s is outside (0, 1)",
                         eden_print_number(c->average_decay, number));
    return EDEN_OK;
}

/* ---- in a step ------------------------------------------------------------------------ */

int eden_averages_at(const eden_optimizer *o, uint64_t s)
{
    const eden_config *c = &o->config;
    return c->average && s >= c->average_start && (s - c->average_start) % c->average_every == 0;
}

/* 1 + d + ... + d^(n-1), by doubling: of positive terms, so that nothing cancels where
 * d is almost 1. */
static double sum_of_powers(double d, uint64_t n)
{
    double sum = 0, last = 1; /* last: d to the number of terms so far */
    for (int bit = 63; bit >= 0; bit--) {
        sum *= 1 + last;
        last *= last;
        if (!(n >> bit & 1)) continue;
        sum = 1 + d * sum;
        last *= d;
    }
    return sum;
}

/* What the n-th averaging gives to the newest weights. The first gives all, so that
 * an average has no memory of the zeros it began as. */
static double gain(const eden_config *c, uint64_t n)
{
    if (c->average == EDEN_SWA) return 1 / (double)n;
    return 1 / sum_of_powers(c->average_decay, n);
}

void eden_follow_average(const eden_optimizer *o, const eden_entry *entry, eden_program program,
                         eden_storage *storage)
{
    storage->average = NULL;
    if (program != EDEN_STEP || !eden_averages_at(o, o->steps + 1)) return;
    storage->average = eden_array_base(entry, o->groups[entry->group].rule, EDEN_ARRAY_AVERAGE);
    storage->gain = (real)gain(&o->config, entry->averaged + 1);
}

/* ---- swapping ---------------------------------------------------------------------------- */

static int has_average(const eden_entry *entry)
{
    /* A rank need not have a part of it, and of an empty tensor nobody has. */
    return entry->averaged && (entry->array[EDEN_ARRAY_AVERAGE].data || entry->last - entry->first < entry->extent.count);
}

/* Bytes of a tensor that cannot be had back from anywhere while it is swapped. */
static size_t weights_aside(const eden_entry *entry)
{
    return entry->tensor.dtype == EDEN_F32 ? 0 : (size_t)eden_weights_bytes(entry);
}

static size_t copy_bytes(const eden_entry *entry)
{
    const eden_tensor *t = &entry->tensor;
    return t->copy ? (size_t)eden_codec_bytes(eden_codec_of(t->copy_dtype, 0), entry->extent.count) : 0;
}

static void put_aside(eden_entry *entry)
{
    const size_t weights = weights_aside(entry), copy = copy_bytes(entry);
    if (weights) memcpy(entry->aside, entry->tensor.data, weights);
    if (copy) memcpy((char *)entry->aside + weights, entry->tensor.copy, copy);
}

static void take_back(eden_entry *entry)
{
    const size_t weights = weights_aside(entry), copy = copy_bytes(entry);
    if (weights) memcpy(entry->tensor.data, entry->aside, weights);
    if (copy) memcpy(entry->tensor.copy, (char *)entry->aside + weights, copy);
    free(entry->aside);
    entry->aside = NULL;
}

static void leave_room(eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++) {
        free(o->tensors[i].aside);
        o->tensors[i].aside = NULL;
    }
}

/* Room for all that is to be put aside, or for none of it. */
static int make_room(eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++) {
        eden_entry *entry = &o->tensors[i];
        if (!has_average(entry) || !(weights_aside(entry) + copy_bytes(entry))) continue;
        entry->aside = malloc(weights_aside(entry) + copy_bytes(entry));
        if (entry->aside) continue;
        leave_room(o);
        return 0;
    }
    return 1;
}

static void exchange(float *a, float *b, size_t n)
{
    enum { AT_ONCE = 64 };
    float room[AT_ONCE];
    for (size_t i = 0; i < n; i += AT_ONCE) {
        const size_t bytes = (n - i < AT_ONCE ? n - i : AT_ONCE) * sizeof *room;
        memcpy(room, a + i, bytes);
        memcpy(a + i, b + i, bytes);
        memcpy(b + i, room, bytes);
    }
}

/* Floats where 16 bits belong. */
static void write_narrow(const eden_optimizer *o, uint32_t dtype, const float *from, void *to, size_t n)
{
    const eden_codec *codec = &eden_codecs[o->isa][eden_codec_of(dtype, 0)];
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        codec->store(from + i, (uint16_t *)to + i, NULL, n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

/* Of ranks, each does so with its shard, and the weights are then brought to all. */
static void swap_in(const eden_optimizer *o, eden_entry *entry)
{
    const eden_tensor *t = &entry->tensor;
    const size_t first = (size_t)entry->first, n = (size_t)entry->last - first;
    float *average = entry->array[EDEN_ARRAY_AVERAGE].data;
    if (entry->aside) put_aside(entry);
    if (t->copy) write_narrow(o, t->copy_dtype, average, (uint16_t *)t->copy + first, n);
    if (t->dtype == EDEN_F32) exchange((float *)t->data + first, average, n);
    else write_narrow(o, t->dtype, average, (uint16_t *)t->data + first, n);
}

static void swap_out(eden_entry *entry)
{
    if (entry->tensor.dtype == EDEN_F32)
        exchange((float *)entry->tensor.data + entry->first, entry->array[EDEN_ARRAY_AVERAGE].data,
                 (size_t)(entry->last - entry->first));
    if (entry->aside) take_back(entry);
}

static eden_status check_kept(const eden_optimizer *o, const char *call, eden_error *error)
{
    if (o->config.average) return EDEN_OK;
    return eden_fail(error, EDEN_E_ORDER, "%s: no average is kept; create the optimizer with config.average",
                     call);
}

/* All that may refuse to put the averages in place. */
static eden_status make_ready(eden_optimizer *o, eden_error *error)
{
    size_t found = 0;
    eden_status status = check_kept(o, "eden_swap_average", error);
    if (!status) status = eden_not_ahead(o, "eden_swap_average", error);
    if (!status) status = eden_refresh(o, error);
    if (status) return status;
    for (size_t i = 0; i < o->tensor_count; i++) found += (size_t)has_average(&o->tensors[i]);
    if (!found)
        return eden_fail(error, EDEN_E_ORDER, "eden_swap_average: no step has been averaged; the first is step "
                         "%llu", (unsigned long long)o->config.average_start);
    return make_room(o) ? EDEN_OK : eden_fail(error, EDEN_E_MEMORY, "no memory to swap the averages");
}

eden_status eden_swap_average(eden_optimizer *o, eden_error *error)
{
    eden_float_env saved;
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_swap_average: optimizer is NULL");
    eden_status status = eden_not_busy(o, "eden_swap_average", error);
    if (status) return status;
    eden_float_enter(&saved);
    status = eden_not_broken(o, error);
    if (!status && !o->swapped) {
        status = make_ready(o, error);
        if (o->backend) status = o->backend->vote(o->backend, status, error);
        if (status) leave_room(o);
    }
    for (size_t i = 0; i < o->tensor_count && !status; i++) {
        if (!has_average(&o->tensors[i])) continue;
        if (o->swapped) swap_out(&o->tensors[i]);
        else swap_in(o, &o->tensors[i]);
    }
    if (!status) {
        o->swapped = !o->swapped;
        status = eden_share_weights(o, error);
    }
    eden_float_leave(&saved);
    return status;
}

/* ---- looking ---------------------------------------------------------------------------------- */

eden_status eden_get_average(eden_optimizer *o, const char *tensor, float *values, uint64_t room,
                             uint64_t *count, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status && !count) status = eden_fail(error, EDEN_E_ARGUMENT, "eden_get_average: count is NULL");
    if (!status) status = eden_not_busy(o, "eden_get_average", error);
    if (!status) status = eden_not_sharded(o, "eden_get_average", error);
    if (!status) status = check_kept(o, "eden_get_average", error);
    if (!status && o->swapped)
        status = eden_fail(error, EDEN_E_ORDER, "eden_get_average: the averages are where the weights were; "
                           "read them there");
    if (status) return status;
    if (!entry->averaged)
        return eden_fail(error, EDEN_E_ORDER, "eden_get_average: '%.100s' %s", tensor,
                         entry->averages ? "has not been averaged yet" : "is frozen and has no average");
    if (values && room < entry->extent.count)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_get_average: '%.100s' has %llu values, room is for %llu",
                         tensor, (unsigned long long)entry->extent.count, (unsigned long long)room);
    *count = entry->extent.count;
    if (values) eden_read_array(o, &entry->array[EDEN_ARRAY_AVERAGE], values);
    return EDEN_OK;
}
