/* save.c - an optimizer and its weights in a safetensors file. */
#include "checkpoint/checkpoint.h"

#include "engine/driver.h"

/* One entry of state. NAME@SLOT may be another tensor's name. */
static eden_status put(const eden_optimizer *o, const eden_entry *entry, size_t k, const char *name,
                       uint32_t parts, const char *dtype,
                       uint32_t ndim, const uint64_t *shape, const void *data, eden_writer *writer,
                       eden_error *error)
{
    if (parts & EDEN_WEIGHTS && eden_find_tensor(o, name) != SIZE_MAX)
        return eden_fail(error, EDEN_E_NAME, "eden_save: the tensor '%.100s' has the name of the state "
                         "'%s' of '%.100s'; rename one of them, or save the parts in two files", name,
                         eden_array_name(o->groups[entry->group].rule, k), entry->name);
    return eden_writer_tensor(writer, name, dtype, ndim, shape, data, error);
}

static eden_status put_array(const eden_optimizer *o, const eden_entry *entry, size_t k,
                             uint32_t parts, eden_writer *writer, eden_error *error)
{
    const eden_rule *rule = o->groups[entry->group].rule;
    const eden_tensor *t = &entry->tensor;
    const eden_array *array = &entry->array[k];
    const char *dtype = eden_array_dtype(t, k, array);
    const uint64_t scales = eden_array_scales(array);
    char name[EDEN_KEY_ROOM];
    eden_status status;
    eden_array_key(name, entry->name, rule, k, 0);
    if (eden_array_is_full(rule, k))
        status = put(o, entry, k, name, parts, dtype, t->ndim, t->shape, array->data, writer, error);
    else
        status = put(o, entry, k, name, parts, dtype, 1, &array->count, array->data, writer, error);
    if (status || !scales) return status;
    eden_array_key(name, entry->name, rule, k, 1);
    return put(o, entry, k, name, parts, "F32", 1, &scales, eden_array_scale(array), writer, error);
}

static eden_status put_entries(const eden_optimizer *o, uint32_t parts, eden_writer *writer,
                               eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < o->tensor_count && !status; i++) {
        const eden_entry *entry = &o->tensors[i];
        const eden_tensor *t = &entry->tensor;
        if (parts & EDEN_WEIGHTS)
            status = eden_writer_tensor(writer, entry->name, eden_weights_dtype(t), t->ndim, t->shape,
                                        t->data, error);
        for (size_t k = 0; k < EDEN_ARRAYS && parts & EDEN_OPTIM && !status; k++)
            if (entry->array[k].data) status = put_array(o, entry, k, parts, writer, error);
    }
    return status;
}

/* Numbers are compared there. */
static eden_status write_meta(const eden_optimizer *o, eden_writer *writer, uint32_t parts, eden_error *error)
{
    eden_float_env saved;
    eden_float_enter(&saved);
    const eden_status status = eden_write_meta(o, writer, parts, error);
    eden_float_leave(&saved);
    return status;
}

eden_status eden_save(eden_optimizer *o, const char *path, uint32_t parts, eden_error *error)
{
    eden_writer *writer = NULL;
    eden_status status = eden_check_parts(o, "eden_save", path, &parts, 1, error);
    if (status) return status;
    if (o->pending)
        return eden_fail(error, EDEN_E_ORDER, "eden_save: %u of %u micro-batches are pending; save after "
                         "the step that they make", o->pending, o->config.accumulate);
    if (parts & EDEN_OPTIM) status = eden_refresh(o, error);
    if (!status) status = eden_writer_create(&writer, error);
    if (!status) status = eden_writer_keep(writer, 1, error);
    if (!status) status = write_meta(o, writer, parts, error);
    if (!status) status = put_entries(o, parts, writer, error);
    if (!status) status = eden_writer_write(writer, path, error);
    eden_writer_destroy(writer);
    return status;
}
