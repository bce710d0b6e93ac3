/* describe.c - everything that the ranks of one optimizer must have in common, as text. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/format.h"
#include "optimizer/backend.h"

static const char *dtype_name(uint32_t dtype)
{
    static const char *const names[] = { "f32", "bf16", "f16", "q8" };
    return names[dtype];
}

/* "f32[4, 2], gradient f32, ..." */
static void tensor_text(const eden_tensor *t, char *text, size_t room)
{
    size_t used = (size_t)snprintf(text, room, "%s[", dtype_name(t->dtype));
    for (uint32_t d = 0; d < t->ndim; d++)
        used += (size_t)snprintf(text + used, room - used, "%s%llu", d ? ", " : "", (unsigned long long)t->shape[d]);
    snprintf(text + used, room - used, "], gradient %s, copy %s%s", dtype_name(t->grad_dtype),
             t->copy ? dtype_name(t->copy_dtype) : "none", t->flags & EDEN_FROZEN ? ", frozen" : "");
}

static eden_status tell_tensors(const eden_optimizer *o, eden_tell tell, void *context, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < o->tensor_count && !status; i++) {
        char key[EDEN_KEY_ROOM], text[512];
        tensor_text(&o->tensors[i].tensor, text, sizeof text);
        status = tell(context, eden_join(key, "tensor ", o->tensors[i].name, "", ""), text, error);
    }
    return status;
}

eden_status eden_describe(const eden_optimizer *o, eden_tell tell, void *context, eden_error *error)
{
    eden_writer *writer = NULL;
    char number[EDEN_NUMBER_ROOM];
    eden_float_env saved;
    eden_float_enter(&saved);
    eden_status status = eden_writer_create(&writer, error);
    if (!status) status = eden_write_meta(o, writer, EDEN_OPTIM, error);
    const char *key, *value;
    for (size_t i = 0; !status && eden_writer_text_at(writer, i, &key, &value); i++)
        if (strncmp(key, "eden.note.", 10) != 0) status = tell(context, key, value, error);
    if (!status) status = tell(context, "zero_grad", eden_print_count(o->config.zero_grad, number), error);
    if (!status) status = tell(context, "pending", eden_print_count(o->pending, number), error);
    if (!status) status = tell_tensors(o, tell, context, error);
    eden_writer_destroy(writer);
    eden_float_leave(&saved);
    return status;
}
