/* load_state.c - is the state of a file one that steps can have made? */
#include "checkpoint/checkpoint.h"

#include <math.h>
#include <string.h>

#include "engine/codec.h"

static eden_status wrong(const eden_loading *l, const eden_entry *entry, size_t k, float value, uint64_t at,
                         const char *why, eden_error *error)
{
    char text[EDEN_NUMBER_ROOM];
    const eden_rule *rule = l->next.groups[entry->group].rule;
    return eden_fail(error, EDEN_E_FORMAT, "%.100s: state '%.40s' of '%.60s' is %s at element %llu%s", l->path,
                     eden_array_name(rule, k), entry->name,
                     isnan(value) ? "NaN" : isinf(value) ? "infinite" : eden_print_number((double)value, text),
                     (unsigned long long)at, why);
}

/* What is wrong with a number of array k, or NULL. */
static const char *why_wrong(const eden_loading *l, const eden_entry *entry, size_t k, float value)
{
    const eden_rule *rule = l->next.groups[entry->group].rule;
    const int is_slot = k < EDEN_MAX_SLOTS;
    if (!isfinite(value) && l->next.config.nonfinite != EDEN_APPLY) return "";
    if (is_slot && rule->slots[k].square && value < 0) return ", and squares are never negative";
    if (is_slot && entry->steps == 0 && value != 0) return ", and the tensor has not taken a step";
    return NULL;
}

static eden_status check_array(const eden_loading *l, const eden_entry *entry, size_t k, eden_error *error)
{
    const eden_array *array = &entry->array[k];
    const float *scale = eden_array_scale(array);
    const eden_codec *codec = &eden_codecs[l->next.isa][array->codec];
    const uint64_t first = eden_array_is_full(l->next.groups[entry->group].rule, k) ? entry->first : 0;
    _Alignas(64) real block[EDEN_BLOCK];
    for (uint64_t at = 0; at < array->count; at += EDEN_BLOCK) {
        const size_t n = array->count - at < EDEN_BLOCK ? (size_t)(array->count - at) : EDEN_BLOCK;
        codec->load((const char *)array->data + eden_codec_bytes(array->codec, at),
                    scale ? scale + at / EDEN_BLOCK : NULL, block, n);
        for (size_t i = 0; i < n; i++) {
            const char *why = why_wrong(l, entry, k, block[i]);
            if (why) return wrong(l, entry, k, block[i], first + at + i, why, error);
        }
    }
    return EDEN_OK;
}

/* Scales of 8-bit state; a NaN there may be one that EDEN_APPLY let through. */
static eden_status check_scales(const eden_loading *l, const eden_entry *entry, size_t k, eden_error *error)
{
    const eden_array *array = &entry->array[k];
    const float *scale = eden_array_scale(array);
    for (uint64_t i = 0; scale && i < eden_array_scales(array); i++)
        if (scale[i] < 0 || (!isfinite(scale[i]) && l->next.config.nonfinite != EDEN_APPLY))
            return wrong(l, entry, k, scale[i], i, " of its scales, which are finite and never negative", error);
    return EDEN_OK;
}

/* Weights that steps can have made; those of frozen tensors are the caller's. */
static eden_status check_weights(const eden_loading *l, size_t i, eden_error *error)
{
    const eden_entry *entry = &l->next.tensors[i];
    const uint32_t kind = eden_codec_of(entry->tensor.dtype, 0);
    const eden_codec *codec = &eden_codecs[l->next.isa][kind];
    _Alignas(64) real block[EDEN_BLOCK];
    if (l->next.config.nonfinite != EDEN_REFUSE || entry->tensor.flags & EDEN_FROZEN) return EDEN_OK;
    for (uint64_t at = 0; l->weights[i] && at < entry->extent.count; at += EDEN_BLOCK) {
        const uint64_t left = entry->extent.count - at;
        const size_t n = left < EDEN_BLOCK ? (size_t)left : EDEN_BLOCK;
        codec->load((const char *)l->weights[i] + eden_codec_bytes(kind, at), NULL, block, n);
        for (size_t j = 0; j < n; j++)
            if (!isfinite(block[j]))
                return eden_fail(error, EDEN_E_FORMAT, "%.100s: tensor '%.100s' is %s at element %llu; load it with "
                                 "EDEN_WEIGHTS alone", l->path, entry->name,
                                 isnan(block[j]) ? "NaN" : "infinite", (unsigned long long)(at + j));
    }
    return EDEN_OK;
}

/* Weights of 16 bits are their float32 masters, rounded. */
static eden_status check_master(const eden_loading *l, size_t i, eden_error *error)
{
    const eden_entry *entry = &l->next.tensors[i];
    const real *master = entry->array[EDEN_ARRAY_MASTER].data;
    const uint16_t *weights = l->weights[i];
    const eden_codec *codec = &eden_codecs[l->next.isa][eden_codec_of(entry->tensor.dtype, 0)];
    uint16_t rounded[EDEN_BLOCK];
    for (uint64_t at = entry->first; master && weights && at < entry->last; at += EDEN_BLOCK) {
        const uint64_t left = entry->last - at;
        const size_t n = left < EDEN_BLOCK ? (size_t)left : EDEN_BLOCK;
        const real *from = master + (at - entry->first);
        codec->store(from, rounded, NULL, n);
        for (size_t j = 0; j < n; j++)
            if (rounded[j] != weights[at + j] && !isnan(from[j]))
                return wrong(l, entry, EDEN_ARRAY_MASTER, from[j], at + j,
                             ", and the weight is not that, rounded", error);
    }
    return EDEN_OK;
}

eden_status eden_check_state(eden_loading *l, eden_error *error)
{
    for (size_t i = 0; i < l->next.tensor_count; i++) {
        const eden_entry *entry = &l->next.tensors[i];
        eden_status status = EDEN_OK;
        if (l->left[i]) continue;
        for (size_t k = 0; k < EDEN_ARRAYS && !status; k++)
            if (entry->array[k].data) status = check_scales(l, entry, k, error);
        for (size_t k = 0; k < EDEN_ARRAYS && !status; k++)
            /* The bits that bf16 lacks are no numbers. */
            if (entry->array[k].data && !(k == EDEN_ARRAY_LOST && entry->tensor.rounding == EDEN_SPLIT))
                status = check_array(l, entry, k, error);
        if (!status) status = check_weights(l, i, error);
        if (!status) status = check_master(l, i, error);
        if (status) return status;
    }
    return EDEN_OK;
}
