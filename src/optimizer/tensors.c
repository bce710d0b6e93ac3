/* tensors.c - tensors by name. */
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/optimizer.h"
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
    if (!name || !o->index_room) return SIZE_MAX;
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
    const uint32_t split = t->split ? t->split : 1;
    uint64_t rows = 1, cols = 1;
    int overflow = 0;
    if (t->ndim > EDEN_MAX_DIMS)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s' has %u dimensions; at most %d fit", name,
                         t->ndim, EDEN_MAX_DIMS);
    if (t->split > t->ndim)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s': split = %u is above ndim = %u", name,
                         t->split, t->ndim);
    for (uint32_t d = 0; d < t->ndim; d++) {
        uint64_t *side = t->ndim > 1 && d < split ? &rows : &cols;
        overflow |= __builtin_mul_overflow(*side, t->shape[d], side);
    }
    overflow |= __builtin_mul_overflow(rows, cols, &x->count);
    if (overflow || x->count > SIZE_MAX / 16)
        return eden_fail(error, EDEN_E_SHAPE, "tensor '%s' has more elements than memory has addresses",
                         name);
    x->rows = rows;
    x->cols = cols;
    return EDEN_OK;
}

static eden_status check_tensor(const char *name, const eden_tensor *t, eden_extent *x,
                                eden_error *error)
{
    if (t->size < sizeof *t)
        return eden_fail(error, EDEN_E_ARGUMENT,
                         "tensor '%s': size = %zu is too small; start from EDEN_TENSOR_INIT", name, t->size);
    if (t->dtype != EDEN_F32)
        return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': dtype %u is not supported; use EDEN_F32",
                         name, t->dtype);
    if (t->device != EDEN_HOST)
        return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': device %u is not supported; use EDEN_HOST",
                         name, t->device);
    if (t->flags & ~(uint32_t)(EDEN_GRAD_WRITABLE | EDEN_FROZEN) || t->reserved)
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': unknown flags or reserved bits", name);
    const eden_status status = extent_of(name, t, x, error);
    if (status) return status;
    if (!t->data && x->count)
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': data is NULL", name);
    if ((uintptr_t)t->data % sizeof(float) || (uintptr_t)t->grad % sizeof(float))
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': data and grad must be aligned to %zu bytes",
                         name, sizeof(float));
    return EDEN_OK;
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
    entry.name = eden_copy_text(name);
    eden_entry *tensors = realloc(o->tensors, (o->tensor_count + 1) * sizeof *tensors);
    if (tensors) o->tensors = tensors;
    if (!entry.name || !tensors || !grow_index(o)) {
        free(entry.name);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the tensor '%s'", name);
    }
    o->index[place_of(o, name)] = o->tensor_count + 1;
    o->tensors[o->tensor_count++] = entry;
    o->stale = 1;
    return EDEN_OK;
}

/* ---- gradients ------------------------------------------------------------------------ */

static eden_status find_entry(const eden_optimizer *o, const char *name, eden_entry **entry,
                              eden_error *error)
{
    if (!o || !name)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s is NULL", o ? "a tensor's name" : "optimizer");
    const size_t i = eden_find_tensor(o, name);
    if (i == SIZE_MAX) return eden_fail(error, EDEN_E_NAME, "no tensor is called '%.100s'", name);
    *entry = &o->tensors[i];
    return EDEN_OK;
}

eden_status eden_set_grad(eden_optimizer *o, const char *name, void *grad, eden_error *error)
{
    eden_entry *entry = NULL;
    const eden_status status = find_entry(o, name, &entry, error);
    if (status) return status;
    if ((uintptr_t)grad % sizeof(float))
        return eden_fail(error, EDEN_E_ARGUMENT, "tensor '%s': grad must be aligned to %zu bytes", name,
                         sizeof(float));
    entry->tensor.grad = grad;
    return EDEN_OK;
}

eden_status eden_zero_grad(eden_optimizer *o, eden_error *error)
{
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_zero_grad: optimizer is NULL");
    if (o->pending) return EDEN_OK;
    for (size_t i = 0; i < o->tensor_count; i++)
        if (o->tensors[i].tensor.grad && !(o->tensors[i].tensor.flags & EDEN_GRAD_WRITABLE))
            return eden_fail(error, EDEN_E_ARGUMENT, "eden_zero_grad: the gradient of '%s' is read-only; "
                             "add it with EDEN_GRAD_WRITABLE or zero it yourself", o->tensors[i].name);
    for (size_t i = 0; i < o->tensor_count; i++)
        if (o->tensors[i].tensor.grad)
            memset(o->tensors[i].tensor.grad, 0, (size_t)o->tensors[i].extent.count * sizeof(float));
    return EDEN_OK;
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
    const eden_status status = find_entry(o, tensor, &entry, error);
    if (status) return status;
    if (!steps) return eden_fail(error, EDEN_E_ARGUMENT, "eden_tensor_steps: steps is NULL");
    *steps = entry->steps;
    return EDEN_OK;
}

uint64_t eden_slot_length(const eden_rule *rule, size_t slot, const double *hypers,
                          const eden_entry *entry)
{
    if (slot >= rule->slot_count || rule->slots[slot].kind != EDEN_STATE ||
        (entry->tensor.flags & EDEN_FROZEN))
        return 0;
    return eden_rule_slot_length(rule, slot, hypers, entry->extent);
}

uint64_t eden_state_bytes(const eden_optimizer *o)
{
    uint64_t bytes = 0;
    for (size_t i = 0; o && i < o->tensor_count; i++)
        for (size_t s = 0; s < EDEN_MAX_SLOTS; s++) bytes += o->tensors[i].length[s] * sizeof(float);
    return bytes;
}

eden_status eden_get_state(eden_optimizer *o, const char *tensor, const char *slot, float *values,
                           uint64_t room, uint64_t *count, eden_error *error)
{
    eden_entry *entry = NULL;
    eden_status status = find_entry(o, tensor, &entry, error);
    if (!status && (!slot || !count))
        status = eden_fail(error, EDEN_E_ARGUMENT, "eden_get_state: %s is NULL", slot ? "count" : "slot");
    if (!status) status = eden_refresh(o, error);
    if (status) return status;

    const eden_rule *rule = o->groups[entry->group].rule;
    size_t s = 0;
    while (s < rule->slot_count && strcmp(rule->slots[s].name, slot) != 0) s++;
    if (s == rule->slot_count || rule->slots[s].kind != EDEN_STATE)
        return eden_fail(error, EDEN_E_NAME, "%s has no state called '%.60s'", rule->name, slot);
    const uint64_t length = entry->state[s] ? entry->length[s] : 0;
    if (values && room < length)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_get_state: '%s' of '%s' has %llu values, room is for "
                         "%llu", slot, tensor, (unsigned long long)length, (unsigned long long)room);
    *count = length;
    if (values && length) memcpy(values, entry->state[s], (size_t)length * sizeof(float));
    return EDEN_OK;
}
