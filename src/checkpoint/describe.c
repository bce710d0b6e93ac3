/* describe.c - everything that the ranks of one optimizer must have in common, as text. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/format.h"
#include "optimizer/backend.h"
#include "optimizer/settings.h"

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

/* ---- settings ---------------------------------------------------------------------------- */

/* Of all groups, before schedules or after them, for the step that is being taken. What is
 * set to what it would be anyway is no difference. */
static eden_status tell_settings(const eden_optimizer *o, int after, eden_tell tell, void *context, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t g = 0; g < o->group_count; g++) {
        const eden_group *group = &o->groups[g];
        for (size_t h = 0; h < group->rule->hyper_count && !status; h++) {
            char key[EDEN_KEY_ROOM], number[EDEN_NUMBER_ROOM];
            eden_join(key, group->rule->hypers[h].name, " in group ", group->name, after ? " in this step" : "");
            status = tell(context, key, eden_show_value(group->rule, h, after ? group->now[h] : group->base[h], number),
                          error);
        }
    }
    return status;
}

/* The seed comes last, as it is told for the sake of a tensor. */
static eden_status tell_more(const eden_optimizer *o, int what, eden_tell tell, void *context, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    eden_status status = EDEN_OK;
    if (what == EDEN_TELL_COUNTS) return tell(context, "pending", eden_print_count(o->pending, number), error);
    status = tell(context, "zero_grad", eden_print_count(o->config.zero_grad, number), error);
    if (!status) status = tell_settings(o, 0, tell, context, error);
    if (!status) status = tell_tensors(o, tell, context, error);
    if (!status && eden_takes_chances(o))
        status = tell(context, "eden.seed", eden_print_count(o->config.seed, number), error);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* What a key of the metadata tells, or 0. */
static int kind_of(const char *key)
{
    static const char *const not_told[] = { "eden.note", "eden.settings", "eden.seed" };
    static const char *const counts[] = { "eden.steps", "eden.skipped", "eden.grad_norm", "eden.loss_scale_now",
                                          "eden.loss_scale_good", "eden.averaged", "eden.plateau" };
    const char *dot = strncmp(key, "eden.", 5) == 0 ? strchr(key + 5, '.') : NULL;
    const size_t length = dot ? (size_t)(dot - key) : strlen(key);
    for (size_t i = 0; i < sizeof not_told / sizeof *not_told; i++)
        if (strlen(not_told[i]) == length && memcmp(not_told[i], key, length) == 0) return 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strlen(counts[i]) == length && memcmp(counts[i], key, length) == 0) return EDEN_TELL_COUNTS;
    return EDEN_TELL_SETTINGS;
}

eden_status eden_describe(const eden_optimizer *o, int what, eden_tell tell, void *context, eden_error *error)
{
    eden_writer *writer = NULL;
    const char *key, *value;
    eden_float_env saved;
    eden_float_enter(&saved);
    eden_status status = eden_writer_create(&writer, error);
    if (!status) status = eden_write_meta(o, writer, EDEN_OPTIM, error);
    for (int kind = EDEN_TELL_SETTINGS; kind <= EDEN_TELL_COUNTS; kind++) {
        if (!(what & kind)) continue;
        for (size_t i = 0; !status && eden_writer_text_at(writer, i, &key, &value); i++)
            if (kind_of(key) == kind) status = tell(context, key, value, error);
        if (!status) status = tell_more(o, kind, tell, context, error);
    }
    if (!status && what & EDEN_TELL_VALUES) status = tell_settings(o, 1, tell, context, error);
    eden_writer_destroy(writer);
    eden_float_leave(&saved);
    return status;
}

/* ---- as a number ------------------------------------------------------------------------- */

static void join_hash(void *context, uint64_t number)
{
    uint64_t *hash = context;
    *hash = (*hash ^ number) * 0x9e3779b97f4a7c15u;
    *hash ^= *hash >> 29;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

uint64_t eden_hash_counts(const eden_optimizer *o, int values)
{
    const uint64_t numbers[] = { o->steps, o->skipped, o->grad_norm != o->grad_norm ? 1 : bits_of(o->grad_norm),
                                 bits_of(o->loss_scale), o->good, o->pending };
    uint64_t hash = 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) join_hash(&hash, numbers[i]);
    for (size_t i = 0; i < o->tensor_count; i++) {
        join_hash(&hash, o->tensors[i].steps);
        join_hash(&hash, o->tensors[i].averaged);
    }
    for (size_t g = 0; g < o->group_count; g++) {
        const eden_group *group = &o->groups[g];
        for (size_t h = 0; h < group->rule->hyper_count; h++) {
            if (values) join_hash(&hash, bits_of(group->now[h]));
            if (group->settings[h].has_schedule) eden_schedule_each(&group->settings[h].schedule, join_hash, &hash);
        }
    }
    return hash;
}
