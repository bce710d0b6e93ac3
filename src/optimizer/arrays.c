/* arrays.c - what is kept for a tensor, and how it is stored. */
#include <stdlib.h>
#include <string.h>

#include "optimizer/optimizer.h"
#include "optimizer/text.h"

enum { PARAM = 0, GRAD = 1 }; /* every rule's first two slots */

uint32_t eden_codec_of(uint32_t dtype, int square)
{
    switch (dtype) {
    case EDEN_BF16: return EDEN_CODEC_BF16;
    /* Squares want bf16's range: in f16 those below 3e-8 would be 0. */
    case EDEN_F16: return square ? EDEN_CODEC_BF16 : EDEN_CODEC_F16;
    case EDEN_Q8: return square ? EDEN_CODEC_SQUARE : EDEN_CODEC_SIGNED;
    default: return EDEN_CODEC_F32;
    }
}

int eden_array_is_full(const eden_rule *rule, size_t i)
{
    return i >= EDEN_MAX_SLOTS || rule->slots[i].shape == EDEN_FULL;
}

static eden_array wanted_of_storage(const eden_entry *entry, size_t i)
{
    const eden_tensor *t = &entry->tensor;
    const uint64_t count = entry->last - entry->first;
    eden_array array = { NULL, 0, EDEN_CODEC_F32, 0 };
    if (i == EDEN_ARRAY_MASTER && t->rounding == EDEN_MASTER) array.count = count;
    if (i == EDEN_ARRAY_AVERAGE && entry->averages) array.count = count;
    if (i == EDEN_ARRAY_LOST && (t->rounding == EDEN_SPLIT || t->rounding == EDEN_KAHAN)) {
        array.count = count;
        array.codec = eden_codec_of(t->dtype, 0);
    }
    return array;
}

eden_array eden_array_wanted(const eden_rule *rule, const double *hypers, const eden_entry *entry,
                             size_t i)
{
    eden_array array = { NULL, 0, EDEN_CODEC_F32, 0 };
    if (entry->tensor.flags & EDEN_FROZEN) return array;
    if (i >= EDEN_MAX_SLOTS) return wanted_of_storage(entry, i);
    if (i >= rule->slot_count || rule->slots[i].kind != EDEN_STATE) return array;
    array.count = eden_rule_slot_length(rule, i, hypers, entry->extent);
    if (!array.count || !eden_array_is_full(rule, i)) return array;
    array.count = entry->last - entry->first;
    if (array.count)
        array.codec = eden_codec_of(entry->tensor.state_dtype, rule->slots[i].square != 0);
    return array;
}

const char *eden_array_name(const eden_rule *rule, size_t i)
{
    if (i == EDEN_ARRAY_MASTER) return "master";
    if (i == EDEN_ARRAY_LOST) return "lost";
    if (i == EDEN_ARRAY_AVERAGE) return "average";
    return i < rule->slot_count ? rule->slots[i].name : NULL;
}

size_t eden_find_state(const eden_rule *rule, const char *slot)
{
    size_t k = GRAD + 1;
    for (; k < EDEN_ARRAYS; k++) {
        const char *name = eden_array_name(rule, k);
        const int kept = (k >= EDEN_MAX_SLOTS && k != EDEN_ARRAY_AVERAGE) ||
                         (k < EDEN_MAX_SLOTS && name && rule->slots[k].kind == EDEN_STATE);
        if (kept && strcmp(name, slot) == 0) break;
    }
    return k;
}

/* ---- memory -------------------------------------------------------------------- */

uint64_t eden_array_scales(const eden_array *array)
{
    if (array->codec < EDEN_CODEC_SIGNED) return 0;
    return array->count / EDEN_BLOCK + (array->count % EDEN_BLOCK != 0);
}

static uint64_t scales_at(const eden_array *array)
{
    return (eden_codec_bytes(array->codec, array->count) + 63) / 64 * 64;
}

uint64_t eden_array_bytes(const eden_array *array)
{
    const uint64_t scales = eden_array_scales(array);
    if (!scales) return eden_codec_bytes(array->codec, array->count);
    return scales_at(array) + scales * sizeof(float);
}

float *eden_array_scale(const eden_array *array)
{
    if (!array->data || !eden_array_scales(array)) return NULL;
    return (float *)(void *)((char *)array->data + scales_at(array));
}

void *eden_array_base(const eden_entry *entry, const eden_rule *rule, size_t i)
{
    const eden_array *array = &entry->array[i];
    if (!array->data || !eden_array_is_full(rule, i)) return array->data;
    return (void *)((uintptr_t)array->data - (uintptr_t)eden_codec_bytes(array->codec, entry->first));
}

uint64_t eden_weights_bytes(const eden_entry *entry)
{
    return eden_codec_bytes(eden_codec_of(entry->tensor.dtype, 0), entry->extent.count);
}

int eden_array_allocate(eden_array *array)
{
    array->data = eden_alloc(eden_array_bytes(array), 1);
    return array->data != NULL;
}

void eden_array_free(const eden_array *array)
{
    if (!array->lent) free(array->data);
}

int eden_arrays_alike(const eden_array *a, const eden_array *b)
{
    return a->data && b->data && a->count == b->count && a->codec == b->codec;
}

/* ---- for the engine ---------------------------------------------------------------- */

static uint32_t rounding_of(const eden_tensor *t)
{
    switch (t->rounding) {
    case EDEN_SPLIT: return EDEN_ROUND_SPLIT;
    case EDEN_STOCHASTIC: return EDEN_ROUND_STOCHASTIC;
    case EDEN_KAHAN: return EDEN_ROUND_KAHAN;
    default: return EDEN_ROUND_NEAREST;
    }
}

void eden_storage_of(const eden_optimizer *o, const eden_entry *entry, eden_storage *storage)
{
    const eden_tensor *t = &entry->tensor;
    const eden_rule *rule = o->groups[entry->group].rule;
    *storage = (eden_storage){ .rounding = rounding_of(t), .zero_grad = o->config.zero_grad };
    storage->codec[PARAM] = t->rounding == EDEN_MASTER ? EDEN_CODEC_F32 : eden_codec_of(t->dtype, 0);
    storage->codec[GRAD] = eden_codec_of(t->grad_dtype, 0);
    for (size_t s = GRAD + 1; s < EDEN_MAX_SLOTS; s++) {
        storage->codec[s] = entry->array[s].codec;
        float *scale = eden_array_scale(&entry->array[s]);
        if (scale)
            storage->scale[s] = (float *)((uintptr_t)scale - (uintptr_t)(entry->first / EDEN_BLOCK) * sizeof *scale);
    }
    storage->lost = eden_array_base(entry, rule, EDEN_ARRAY_LOST);
    if (t->rounding == EDEN_MASTER) {
        storage->copy = t->data;
        storage->copy_codec = eden_codec_of(t->dtype, 0);
    } else if (t->copy) {
        storage->copy = t->copy;
        storage->copy_codec = eden_codec_of(t->copy_dtype, 0);
    }
}
