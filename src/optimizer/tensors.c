/* tensors.c - tensors by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/shard.h"
#include "optimizer/text.h"

/* ---- finding -------------------------------------------------------------------- */

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash;
}

/* The place of a name in the index: where it is, or the free place for it. Places
 * hold a tensor's number plus 1. */
static size_t place_of(const eden_optimizer *o, const char *name)
{
    size_t at = (size_t)hash_name(name) & (o->index_room - 1);
    while (o->index[at] && strcmp(o->tensors[o->index[at] - 1].name, name) != 0)
        at = (at + 1) & (o->index_room - 1);
    return at;
}

size_t eden_find_tensor(const eden_optimizer *o, const char *name)
{
    if (!o->index_room) return SIZE_MAX;
    return o->index[place_of(o, name)] - 1; /* 0 - 1 is SIZE_MAX */
}

/* Keep the index at most half full. */
static int grow_index(eden_optimizer *o)
{
    if ((o->tensor_count + 1) * 2 <= o->index_room) return 1;
    const size_t room = o->index_room ? o->index_room * 2 : 16;
    size_t *index = eden_alloc(room, sizeof *index);
    if (!index) return 0;
    free(o->index);
    o->index = index;
    o->index_room = room;
    for (size_t i = 0; i < o->tensor_count; i++) o->index[place_of(o, o->tensors[i].name)] = i + 1;
    return 1;
}

/* ---- adding ------------------------------------------------------------------------ */

static eden_status extent_of(const char *name, const eden_tensor *t, eden_extent *x,
                             eden_error *error)
{
    const int each = t->flags & EDEN_MATRICES && t->ndim > 1;
    const uint32_t first = each ? t->ndim - 2 : 0, split = t->split ? t->split : 1;
    uint64_t matrices = 1, rows = 1, cols = 1, all;
    int overflow = 0;
    if (t->ndim > EDEN_MAX_DIMS)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s' has %u dimensions; at most %d fit", name,
                         t->ndim, EDEN_MAX_DIMS);
    if (t->split > t->ndim)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s': split = %u is above ndim = %u", name,
                         t->split, t->ndim);
    if (t->split && t->flags & EDEN_MATRICES)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s': split = %u has no effect with EDEN_MATRICES; leave it 0",
                         name, t->split);
    for (uint32_t d = 0; d < t->ndim; d++) {
        uint64_t *side = d < first ? &matrices : t->ndim > 1 && d < first + split ? &rows : &cols;
        overflow |= __builtin_mul_overflow(*side, t->shape[d], side);
    }
    overflow |= __builtin_mul_overflow(matrices, rows, &all);
    overflow |= __builtin_mul_overflow(all, cols, &x->count);
    overflow |= __builtin_mul_overflow(matrices, cols, &all);
    if (overflow || x->count > SIZE_MAX / 16)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s' has more elements than memory has addresses",
                         name);
    x->rows = matrices ? rows : 0;
    x->cols = cols;
    x->matrices = each && matrices ? matrices : 0;
    return EDEN_OK;
}

/* Which numbers may be what, and which ways to keep weights go together. */
static eden_status check_storage(const char *name, const eden_tensor *t, eden_error *error)
{
    const struct { const char *what; uint32_t dtype, least, most; } dtypes[] = {
        { "dtype", t->dtype, EDEN_F32, EDEN_F16 },
        { "grad_dtype", t->grad_dtype, EDEN_F32, EDEN_F16 },
        { "state_dtype", t->state_dtype, EDEN_F32, EDEN_Q8 },
        { "copy_dtype", t->copy_dtype, t->copy ? EDEN_BF16 : 0, t->copy ? EDEN_F16 : 0 },
    };
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (dtypes[i].dtype < dtypes[i].least || dtypes[i].dtype > dtypes[i].most)
            return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': %s = %u is not supported; use %s", name,
                             dtypes[i].what, dtypes[i].dtype,
                             i == 2   ? "EDEN_F32, EDEN_BF16, EDEN_F16 or EDEN_Q8"
                             : i < 2  ? "EDEN_F32, EDEN_BF16 or EDEN_F16"
                             : t->copy ? "EDEN_BF16 or EDEN_F16"
                                       : "0 without a copy");
    if (t->device != EDEN_HOST)
        return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': device %u is not supported; use EDEN_HOST",
                         name, t->device);
    if (t->rounding > EDEN_KAHAN)
        return eden_fail(error, EDEN_E_VALUE, "tensor '%s': rounding = %u is none of eden_rounding", name,
                         t->rounding);
    if (t->rounding != EDEN_NEAREST && t->dtype == EDEN_F32)
        return eden_fail(error, EDEN_E_VALUE, "tensor '%s': float32 weights lose nothing; rounding has to "
                         "be EDEN_NEAREST", name);
    if (t->rounding == EDEN_SPLIT && t->dtype != EDEN_BF16)
        return eden_fail(error, EDEN_E_VALUE, "tensor '%s': EDEN_SPLIT is for EDEN_BF16; use EDEN_MASTER",
                         name);
    if (t->rounding == EDEN_MASTER && t->copy)
        return eden_fail(error, EDEN_E_VALUE, "tensor '%s': EDEN_MASTER writes the weights themselves; it "
                         "takes no copy", name);
    return EDEN_OK;
}

eden_status eden_check_aligned(const char *name, const char *what, const void *at, uint32_t dtype,
                               eden_error *error)
{
    /* The scales of EDEN_Q8 are floats. */
    const size_t size = dtype == EDEN_F32 || dtype == EDEN_Q8 ? sizeof(float) : sizeof(uint16_t);
    if ((uintptr_t)at % size == 0) return EDEN_OK;
    return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': %s must be aligned to %zu bytes", name, what,
                     size);
}

static eden_status check_tensor(const char *name, const eden_tensor *t, eden_extent *x,
                                eden_error *error)
{
    char what[EDEN_MAX_NAME + 16];
    snprintf(what, sizeof what, "tensor '%s'", name);
    eden_status status = eden_check_struct(t, sizeof *t, what, "EDEN_TENSOR_INIT", error);
    if (!status) status = check_storage(name, t, error);
    if (status) return status;
    if (t->flags & ~(uint32_t)(EDEN_GRAD_WRITABLE | EDEN_FROZEN | EDEN_MATRICES) || t->reserved)
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': unknown flags or reserved bits", name);
    status = extent_of(name, t, x, error);
    if (status) return status;
    if (!t->data && x->count)
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': data is NULL", name);
    status = eden_check_aligned(name, "data", t->data, t->dtype, error);
    if (!status) status = eden_check_aligned(name, "grad", t->grad, t->grad_dtype, error);
    if (!status) status = eden_check_aligned(name, "copy", t->copy, t->copy_dtype, error);
    return status;
}

eden_status eden_add_tensor(eden_optimizer *o, const char *name, const eden_tensor *tensor,
                            const char *group, eden_error *error)
{
    eden_entry entry = { 0 };
    if (!o || !tensor)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_add_tensor: %s is NULL", o ? "tensor" : "optimizer");
    if (!name || !eden_name_ok(name))
        return eden_fail(error, EDEN_E_NAME, "a tensor's name is 1 to 255 bytes of UTF-8 without "
                                             "control characters");
    if (strcmp(name, "__metadata__") == 0)
        return eden_fail(error, EDEN_E_NAME, "a tensor cannot be called '__metadata__', which is not the name of "
                         "a tensor in a safetensors file; choose another name");
    if (eden_find_tensor(o, name) != SIZE_MAX)
        return eden_fail(error, EDEN_E_NAME, "there is a tensor '%s' already; choose another name", name);
    entry.group = eden_find_group(o, group);
    if (entry.group == SIZE_MAX)
        return eden_fail(error, EDEN_E_NAME, "tensor '%s': no group is called '%.60s'; add it first",
                         name, group);
    eden_status status = eden_not_ahead(o, "eden_add_tensor", error);
    if (!status) status = check_tensor(name, tensor, &entry.extent, error);
    if (status) return status;

    entry.tensor = *tensor;
    entry.last = entry.extent.count;
    entry.hash = hash_name(name);
    entry.averages = o->config.average && !(tensor->flags & EDEN_FROZEN);
    entry.name = eden_copy_text(name);
    eden_entry *tensors = realloc(o->tensors, (o->tensor_count + 1) * sizeof *tensors);
    if (tensors) o->tensors = tensors;
    if (!entry.name || !tensors || !grow_index(o)) {
        free(entry.name);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the tensor '%s'", name);
    }
    o->index[place_of(o, name)] = o->tensor_count + 1;
    o->tensors[o->tensor_count++] = entry;
    o->stale |= EDEN_STALE_PLAN;
    return EDEN_OK;
}

/* ---- gradients ------------------------------------------------------------------------ */

eden_status eden_find_entry(const eden_optimizer *o, const char *name, eden_entry **entry,
                            eden_error *error)
{
    if (!o || !name)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s is NULL", o ? "a tensor's name" : "optimizer");
    const size_t i = eden_find_tensor(o, name);
    if (i == SIZE_MAX) return eden_fail(error, EDEN_E_NAME, "no tensor is called '%.100s'", name);
    *entry = &o->tensors[i];
    return EDEN_OK;
}

/* Gradients are mostly set in the order of the tensors: the next one is looked at before
 * the name is looked up, which takes several times as long. */
static eden_status find_in_turn(eden_optimizer *o, const char *name, eden_entry **entry, eden_error *error)
{
    const size_t i = o && o->next_grad < o->tensor_count ? o->next_grad : 0;
    if (o && name && i < o->tensor_count && strcmp(o->tensors[i].name, name) == 0) *entry = &o->tensors[i];
    const eden_status status = *entry ? EDEN_OK : eden_find_entry(o, name, entry, error);
    if (!status) o->next_grad = (size_t)(*entry - o->tensors) + 1;
    return status;
}

eden_status eden_set_grad(eden_optimizer *o, const char *name, void *grad, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = find_in_turn(o, name, &entry, error);
    if (!status) status = eden_not_busy(o, "eden_set_grad", error);
    if (status) return status;
    status = eden_check_aligned(name, "grad", grad, entry->tensor.grad_dtype, error);
    if (status) return status;
    o->moved |= grad && grad != entry->tensor.grad;
    entry->tensor.grad = grad;
    return status;
}

eden_status eden_check_writable(const eden_optimizer *o, const char *call, eden_error *error)
{
    for (size_t i = 0; i < o->tensor_count; i++)
        if (o->tensors[i].tensor.grad && !(o->tensors[i].tensor.flags & EDEN_GRAD_WRITABLE))
            return eden_fail(error, EDEN_E_ARGUMENT, "%s: the gradient of '%s' is read-only; add it with "
                             "EDEN_GRAD_WRITABLE or zero it yourself", call, o->tensors[i].name);
    return EDEN_OK;
}

void eden_zero_all(eden_optimizer *o)
{
    o->pending = 0;
    o->refused = 0;
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_tensor *t = &o->tensors[i].tensor;
        const uint64_t count = o->tensors[i].extent.count;
        if (t->grad) memset(t->grad, 0, (size_t)eden_codec_bytes(eden_codec_of(t->grad_dtype, 0), count));
    }
}

eden_status eden_zero_grad(eden_optimizer *o, eden_error *error)
{
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_zero_grad: optimizer is NULL");
    eden_status status = eden_not_early(o, "eden_zero_grad", error);
    if (status || (o->pending && !o->refused)) return status;
    status = eden_check_writable(o, "eden_zero_grad", error);
    if (!status) eden_zero_all(o);
    return status;
}

/* ---- looking inside --------------------------------------------------------------------- */

size_t eden_tensor_count(const eden_optimizer *o) { return o ? o->tensor_count : 0; }

const char *eden_tensor_name(const eden_optimizer *o, size_t i)
{
    return o && i < o->tensor_count ? o->tensors[i].name : NULL;
}

eden_status eden_tensor_steps(const eden_optimizer *o, const char *tensor, uint64_t *steps,
                              eden_error *error)
{
    eden_entry *entry = NULL;
    const eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (status) return status;
    if (!steps) return eden_fail(error, EDEN_E_ARGUMENT, "eden_tensor_steps: steps is NULL");
    *steps = entry->steps;
    return EDEN_OK;
}

uint64_t eden_state_bytes(const eden_optimizer *o)
{
    uint64_t bytes = 0;
    for (size_t i = 0; o && i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++)
            if (o->tensors[i].array[k].data) bytes += eden_array_bytes(&o->tensors[i].array[k]);
    return bytes;
}

void eden_read_array(const eden_optimizer *o, const eden_array *array, float *values)
{
    const eden_codec *codec = &eden_codecs[o->isa][array->codec];
    const float *scale = eden_array_scale(array);
    eden_float_env saved;
    eden_float_enter(&saved);
    for (uint64_t i = 0; i < array->count; i += EDEN_BLOCK)
        codec->load((const char *)array->data + eden_codec_bytes(array->codec, i),
                    scale ? scale + i / EDEN_BLOCK : NULL, values + i,
                    (size_t)(array->count - i < EDEN_BLOCK ? array->count - i : EDEN_BLOCK));
    eden_float_leave(&saved);
}

eden_status eden_get_state(eden_optimizer *o, const char *tensor, const char *slot, float *values,
                           uint64_t room, uint64_t *count, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = eden_find_entry(o, tensor, &entry, error);
    if (!status && (!slot || !count))
        status = eden_fail(error, EDEN_E_ARGUMENT, "eden_get_state: %s is NULL", slot ? "count" : "slot");
    if (!status) status = eden_not_busy(o, "eden_get_state", error);
    if (!status) status = eden_not_sharded(o, "eden_get_state", error);
    if (!status) status = eden_refresh(o, error);
    if (status) return status;

    const eden_rule *rule = o->groups[entry->group].rule;
    const size_t k = eden_find_state(rule, slot);
    if (k == EDEN_ARRAYS)
        return eden_fail(error, EDEN_E_NAME, "%s has no state called '%.60s'", rule->name, slot);
    const eden_array *array = &entry->array[k];
    if (values && room < array->count)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_get_state: '%s' of '%s' has %llu values, room is for "
                         "%llu", slot, tensor, (unsigned long long)array->count, (unsigned long long)room);
    *count = array->count;
    if (values) eden_read_array(o, array, values);
    return EDEN_OK;
}
