/* lent.c - weights, state and counts that the caller keeps. */
#include <stdio.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/shard.h"
#include "optimizer/text.h"

/* ---- weights ------------------------------------------------------------------------- */

eden_status eden_set_data(eden_optimizer *o, const char *tensor, void *data, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status) status = eden_not_ahead(o, "eden_set_data", error);
    if (status || data == entry->tensor.data) return status;
    if (!data && entry->extent.count)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_data: the data of '%.100s' is NULL", tensor);
    status = eden_check_aligned(tensor, "data", data, entry->tensor.dtype, error);
    if (status) return status;
    entry->tensor.data = data;
    o->stale |= EDEN_STALE_PLAN;
    return EDEN_OK;
}

/* ---- state ----------------------------------------------------------------------------- */

/* The state that a call names, as a tensor's array k. */
static eden_status find_array(const eden_optimizer *o, const char *call, const eden_entry *entry,
                              const char *slot, size_t *k, eden_error *error)
{
    if (!slot) return eden_fail(error, EDEN_E_ARGUMENT, "%s: slot is NULL", call);
    const eden_rule *rule = o->groups[entry->group].rule;
    *k = eden_find_state(rule, slot);
    if (*k < EDEN_ARRAYS) return EDEN_OK;
    if (strcmp(slot, eden_array_name(rule, EDEN_ARRAY_AVERAGE)) == 0)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s: the average of '%.100s' is in Eden's own memory; read it with "
                         "eden_get_average()", call, entry->name);
    return eden_fail(error, EDEN_E_NAME, "%s has no state called '%.60s'", rule->name, slot);
}

/* What the array is under the settings of now, which need not be those of the plan. */
static eden_status array_of_now(eden_optimizer *o, const eden_entry *entry, size_t k, eden_array *array,
                                eden_error *error)
{
    const eden_group *group = &o->groups[entry->group];
    eden_float_env saved;
    eden_float_enter(&saved);
    const eden_status status = o->stale ? eden_resolve(o, error) : EDEN_OK;
    if (!status) *array = eden_array_wanted(group->rule, group->struc, entry, k);
    eden_float_leave(&saved);
    return status;
}

static uint32_t dtype_of(const eden_array *array)
{
    switch (array->codec) {
    case EDEN_CODEC_F32: return EDEN_F32;
    case EDEN_CODEC_BF16: return EDEN_BF16;
    case EDEN_CODEC_F16: return EDEN_F16;
    default: return EDEN_Q8;
    }
}

eden_status eden_state_layout(eden_optimizer *o, const char *tensor, const char *slot,
                              eden_layout *layout, eden_error *error)
{
    static const char call[] = "eden_state_layout";
    eden_entry *entry = NULL;
    eden_array array;
    size_t k;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status && !layout) status = eden_fail(error, EDEN_E_ARGUMENT, "%s: layout is NULL", call);
    if (!status)
        status = eden_check_struct(layout, sizeof *layout, "eden_state_layout: layout", "EDEN_LAYOUT_INIT", error);
    if (!status) status = eden_not_busy(o, call, error);
    if (!status) status = eden_not_sharded(o, call, error);
    if (!status) status = find_array(o, call, entry, slot, &k, error);
    if (!status) status = array_of_now(o, entry, k, &array, error);
    if (status) return status;
    layout->count = array.count;
    layout->bytes = eden_array_bytes(&array);
    layout->dtype = dtype_of(&array);
    layout->shape = k < EDEN_MAX_SLOTS ? o->groups[entry->group].rule->slots[k].shape : EDEN_FULL;
    return EDEN_OK;
}

/* Eden keeps it itself again. */
static eden_status take_back(eden_optimizer *o, eden_entry *entry, size_t k, eden_error *error)
{
    eden_array *array = &entry->array[k], own = *array;
    if (!array->lent) return EDEN_OK;
    own.lent = 0;
    if (!eden_array_allocate(&own))
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the state of '%.100s'", entry->name);
    memcpy(own.data, array->data, (size_t)eden_array_bytes(array));
    *array = own;
    o->stale |= EDEN_STALE_PLAN;
    return EDEN_OK;
}

static eden_status lend(eden_optimizer *o, eden_entry *entry, size_t k, void *memory, uint64_t bytes,
                        eden_error *error)
{
    const char *slot = eden_array_name(o->groups[entry->group].rule, k);
    eden_array *array = &entry->array[k], wanted;
    char what[EDEN_MAX_NAME];
    eden_status status = array_of_now(o, entry, k, &wanted, error);
    if (status) return status;
    if (!wanted.count)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_state: '%.100s' has no '%s' under its settings and needs "
                         "no memory for it", entry->name, slot);
    if (bytes != eden_array_bytes(&wanted))
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_state: '%s' of '%.100s' takes %llu bytes, not %llu; ask "
                         "eden_state_layout()", slot, entry->name, (unsigned long long)eden_array_bytes(&wanted),
                         (unsigned long long)bytes);
    snprintf(what, sizeof what, "memory for '%s'", slot);
    status = eden_check_aligned(entry->name, what, memory, dtype_of(&wanted), error);
    wanted.data = memory;
    wanted.lent = 1;
    if (status || (array->lent && array->data == memory && eden_arrays_alike(array, &wanted))) return status;
    eden_array_free(array);
    *array = wanted;
    o->stale |= EDEN_STALE_PLAN;
    return EDEN_OK;
}

eden_status eden_set_state(eden_optimizer *o, const char *tensor, const char *slot, void *memory,
                           uint64_t bytes, eden_error *error)
{
    static const char call[] = "eden_set_state";
    eden_entry *entry = NULL;
    size_t k;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status) status = eden_not_ahead(o, call, error);
    if (!status) status = eden_not_sharded(o, call, error);
    if (!status) status = find_array(o, call, entry, slot, &k, error);
    if (status) return status;
    return memory ? lend(o, entry, k, memory, bytes, error) : take_back(o, entry, k, error);
}

static void write_array(const eden_optimizer *o, const eden_array *array, const float *values)
{
    const eden_codec *codec = &eden_codecs[o->isa][array->codec];
    float *scale = eden_array_scale(array);
    eden_float_env saved;
    eden_float_enter(&saved);
    for (uint64_t i = 0; i < array->count; i += EDEN_BLOCK)
        codec->store(values + i, (char *)array->data + eden_codec_bytes(array->codec, i),
                     scale ? scale + i / EDEN_BLOCK : NULL,
                     (size_t)(array->count - i < EDEN_BLOCK ? array->count - i : EDEN_BLOCK));
    eden_float_leave(&saved);
}

eden_status eden_put_state(eden_optimizer *o, const char *tensor, const char *slot, const float *values,
                           uint64_t count, eden_error *error)
{
    static const char call[] = "eden_put_state";
    eden_entry *entry = NULL;
    size_t k;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status) status = eden_not_ahead(o, call, error);
    if (!status) status = eden_not_sharded(o, call, error);
    if (!status) status = find_array(o, call, entry, slot, &k, error);
    if (!status) status = eden_refresh(o, error);
    if (status) return status;
    const eden_array *array = &entry->array[k];
    if (count != array->count)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_put_state: '%s' of '%.100s' has %llu values, not %llu", slot,
                         entry->name, (unsigned long long)array->count, (unsigned long long)count);
    if (!values && count) return eden_fail(error, EDEN_E_ARGUMENT, "eden_put_state: values is NULL");
    if (count) write_array(o, array, values);
    return EDEN_OK;
}

/* ---- counts ------------------------------------------------------------------------------ */

eden_status eden_set_tensor_steps(eden_optimizer *o, const char *tensor, uint64_t steps, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status) status = eden_not_ahead(o, "eden_set_tensor_steps", error);
    if (status) return status;
    if (steps && entry->tensor.flags & EDEN_FROZEN)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_tensor_steps: '%.100s' is frozen and takes no steps", tensor);
    if (steps < entry->averaged)
        return eden_fail(error, EDEN_E_VALUE, "eden_set_tensor_steps: the average of '%.100s' is of %llu steps, and "
                         "the tensor cannot have taken %llu", tensor, (unsigned long long)entry->averaged,
                         (unsigned long long)steps);
    entry->steps = steps;
    if (o->steps < steps) o->steps = steps;
    return EDEN_OK;
}
