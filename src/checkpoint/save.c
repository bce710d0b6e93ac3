/* save.c - an optimizer and its weights in a safetensors file. */
#include "checkpoint/checkpoint.h"

/* NAME@SLOT may be another tensor's name. */
static eden_status put_state(const eden_optimizer *o, const eden_entry *entry, size_t s,
                             uint32_t parts, eden_writer *writer, eden_error *error)
{
    const eden_slot *slot = &o->groups[entry->group].rule->slots[s];
    const eden_tensor *t = &entry->tensor;
    char name[EDEN_KEY_ROOM];
    if (!eden_join(name, entry->name, "@", slot->name, ""))
        return eden_fail(error, EDEN_E_NAME, "eden_save: the name '%.60s' is too long", entry->name);
    if (parts & EDEN_WEIGHTS && eden_find_tensor(o, name) != SIZE_MAX)
        return eden_fail(error, EDEN_E_NAME, "eden_save: the tensor '%.100s' has the name of the state "
                         "'%s' of '%.100s'; rename one of them, or save the parts in two files", name,
                         slot->name, entry->name);
    if (slot->shape == EDEN_FULL)
        return eden_writer_tensor(writer, name, "F32", t->ndim, t->shape, entry->state[s], error);
    return eden_writer_tensor(writer, name, "F32", 1, &entry->length[s], entry->state[s], error);
}

static eden_status put_entries(const eden_optimizer *o, uint32_t parts, eden_writer *writer,
                               eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < o->tensor_count && !status; i++) {
        const eden_entry *entry = &o->tensors[i];
        const eden_tensor *t = &entry->tensor;
        if (parts & EDEN_WEIGHTS)
            status = eden_writer_tensor(writer, entry->name, "F32", t->ndim, t->shape, t->data, error);
        for (size_t s = 0; s < EDEN_MAX_SLOTS && parts & EDEN_OPTIM && !status; s++)
            if (entry->state[s]) status = put_state(o, entry, s, parts, writer, error);
    }
    return status;
}

eden_status eden_save(eden_optimizer *o, const char *path, uint32_t parts, eden_error *error)
{
    eden_writer *writer = NULL;
    eden_status status = eden_check_parts(o, "eden_save", path, &parts, error);
    if (status) return status;
    if (o->pending)
        return eden_fail(error, EDEN_E_ORDER, "eden_save: %u of %u micro-batches are pending; save after "
                         "the step that they make", o->pending, o->config.accumulate);
    if (parts & EDEN_OPTIM) status = eden_refresh(o, error);
    if (!status) status = eden_writer_create(&writer, error);
    if (!status) status = eden_writer_keep(writer, 1, error);
    if (!status) status = eden_write_meta(o, writer, parts, error);
    if (!status) status = put_entries(o, parts, writer, error);
    if (!status) status = eden_writer_write(writer, path, error);
    eden_writer_destroy(writer);
    return status;
}
