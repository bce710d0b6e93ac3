/* meta.c - an optimizer without its arrays, as metadata. */
#include "checkpoint/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimizer/settings.h"
#include "optimizer/shard.h"

const char *eden_join(char key[EDEN_KEY_ROOM], const char *a, const char *b, const char *c,
                      const char *d)
{
    const char *const texts[] = { a, b, c, d };
    size_t used = 0;
    key[0] = '\0';
    for (int i = 0; i < 4; i++) {
        const size_t length = strlen(texts[i]);
        if (used + length >= EDEN_KEY_ROOM) return NULL;
        memcpy(key + used, texts[i], length + 1);
        used += length;
    }
    return key;
}

const char *eden_weights_dtype(const eden_tensor *tensor)
{
    return tensor->dtype == EDEN_BF16 ? "BF16" : tensor->dtype == EDEN_F16 ? "F16" : "F32";
}

const char *eden_array_dtype(const eden_tensor *tensor, size_t i, const eden_array *array)
{
    if (i == EDEN_ARRAY_LOST && tensor->rounding == EDEN_SPLIT) return "U16"; /* bits, no number */
    switch (array->codec) {
    case EDEN_CODEC_BF16: return "BF16";
    case EDEN_CODEC_F16: return "F16";
    case EDEN_CODEC_F32: return "F32";
    default: return "U8";
    }
}

/* "bf16,q8,kahan": weights, state, rounding. */
const char *eden_storage_text(const eden_tensor *tensor, char text[EDEN_NUMBER_ROOM])
{
    static const char *const dtypes[] = { "f32", "bf16", "f16", "q8" };
    static const char *const roundings[] = { "nearest", "master", "split", "stochastic", "kahan" };
    snprintf(text, EDEN_NUMBER_ROOM, "%s,%s,%s", dtypes[tensor->dtype], dtypes[tensor->state_dtype],
             roundings[tensor->rounding]);
    return text;
}

int eden_takes_chances(const eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++)
        if (o->tensors[i].tensor.rounding == EDEN_STOCHASTIC) return 1;
    return 0;
}

void eden_array_key(char key[EDEN_KEY_ROOM], const char *tensor, const eden_rule *rule, size_t i, int scale)
{
    eden_join(key, tensor, "@", eden_array_name(rule, i), scale ? "@scale" : "");
}

const char *eden_print_count(uint64_t count, char text[EDEN_NUMBER_ROOM])
{
    snprintf(text, EDEN_NUMBER_ROOM, "%llu", (unsigned long long)count);
    return text;
}

int eden_read_count(const char *text, uint64_t *count)
{
    uint64_t n = 0;
    if (!*text || (text[0] == '0' && text[1])) return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
            return 0;
    }
    *count = n;
    return 1;
}

/* ---- the config ------------------------------------------------------------------ */

/* What is off is left out, so that files do not depend on what else a library can do. */
static const struct { const char *key, *absent; } fields[] = {
    { "eden.accumulate", NULL }, { "eden.maximize", NULL }, { "eden.nonfinite", NULL },
    { "eden.clip_value", NULL }, { "eden.clip_norm", NULL },
    { "eden.loss_scale", "0" },  { "eden.loss_scale_window", "0" },
    { "eden.average", "none" },  { "eden.average_decay", "0" },
    { "eden.average_start", "0" }, { "eden.average_every", "0" },
};

const char *eden_config_key(size_t i) { return i < sizeof fields / sizeof *fields ? fields[i].key : NULL; }

const char *eden_config_absent(size_t i) { return fields[i].absent; }

const char *eden_config_text(const eden_config *config, size_t i, char text[EDEN_NUMBER_ROOM])
{
    static const char *const policies[] = { "refuse", "skip", "apply" };
    static const char *const averages[] = { "none", "ema", "swa" };
    switch (i) {
    case 0: return eden_print_count(config->accumulate, text);
    case 1: return eden_print_count(config->maximize, text);
    case 2: return policies[config->nonfinite];
    case 3: return eden_print_number(config->clip_value + 0.0, text); /* not -0 */
    case 4: return eden_print_number(config->clip_norm + 0.0, text);
    case 5: return eden_print_number(config->loss_scale + 0.0, text);
    case 6: return eden_print_count(config->loss_scale_window, text);
    case 7: return averages[config->average];
    case 8: return eden_print_number(config->average_decay + 0.0, text);
    case 9: return eden_print_count(config->average_start, text);
    default: return eden_print_count(config->average_every, text);
    }
}

/* ---- pieces ------------------------------------------------------------------------- */

const char *eden_rule_of(const eden_group *group)
{
    return group->preset ? group->preset->name : group->rule->name;
}

uint32_t eden_split_of(const eden_tensor *tensor)
{
    if (tensor->flags & EDEN_MATRICES && tensor->ndim > 1) return 0;
    return tensor->split ? tensor->split : 1;
}

char *eden_memory_of(const eden_schedule_node *schedule)
{
    size_t room = 256;
    for (;;) {
        char *text = malloc(room);
        if (!text) return NULL;
        const size_t length = eden_schedule_memory(schedule, text, room);
        if (length < room) return text;
        free(text);
        room = length + 1;
    }
}

eden_status eden_check_parts(const eden_optimizer *o, const char *call, const char *path,
                             uint32_t *parts, int reads_only, eden_error *error)
{
    if (!o || !path)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s: %s is NULL", call, o ? "path" : "optimizer");
    if (*parts & ~EDEN_BOTH)
        return eden_fail(error, EDEN_E_ARGUMENT,
                         "%s: parts = %u is not made of EDEN_WEIGHTS and EDEN_OPTIM", call, *parts);
    const eden_status status = eden_not_busy(o, call, error);
    if (status) return status;
    if (*parts == 0) *parts = EDEN_BOTH;
    const eden_status whole = *parts & EDEN_OPTIM && reads_only ? eden_not_sharded(o, call, error) : EDEN_OK;
    if (whole) return whole;
    /* Averages in the place of the weights can be saved as such. */
    if (o->swapped && *parts == EDEN_WEIGHTS && reads_only) return EDEN_OK;
    return eden_not_ahead(o, call, error);
}

/* ---- writing -------------------------------------------------------------------------- */

static eden_status put(eden_writer *w, const char *prefix, const char *name, const char *value,
                       eden_error *error)
{
    char key[EDEN_KEY_ROOM];
    eden_join(key, prefix, name, "", "");
    return eden_writer_text(w, key, value, error);
}

/* What was set explicitly, as eden_set_text() reads it. */
static eden_status put_settings(const eden_group *group, eden_writer *w, eden_error *error)
{
    const eden_rule *rule = group->rule;
    char number[EDEN_NUMBER_ROOM];
    size_t room = 1, used = 0;
    for (size_t h = 0; h < rule->hyper_count; h++)
        room += strlen(rule->hypers[h].name) + EDEN_NUMBER_ROOM + 3;
    char *text = eden_alloc(room, 1);
    if (!text) return eden_fail(error, EDEN_E_MEMORY, "no memory to save the settings");
    for (size_t h = 0; h < rule->hyper_count; h++)
        if (group->settings[h].is_set)
            used += (size_t)snprintf(text + used, room - used, "%s%s=%s", used ? ", " : "",
                                     rule->hypers[h].name,
                                     eden_show_value(rule, h, group->settings[h].value, number));
    const eden_status status = put(w, "eden.settings.", group->name, text, error);
    free(text);
    return status;
}

static eden_status put_schedule(const eden_group *group, size_t h, eden_writer *w,
                                eden_error *error)
{
    const eden_schedule_node *schedule = &group->settings[h].schedule;
    char name[EDEN_KEY_ROOM];
    if (!group->settings[h].has_schedule) return EDEN_OK;
    eden_join(name, group->rule->hypers[h].name, ".", group->name, "");
    if (schedule->function) return put(w, "eden.custom.", name, "1", error);

    eden_status status = put(w, "eden.schedule.", name, schedule->text, error);
    char *memory = status ? NULL : eden_memory_of(schedule);
    if (!status && !memory)
        status = eden_fail(error, EDEN_E_MEMORY, "no memory to save the schedules");
    if (!status && *memory) status = put(w, "eden.plateau.", name, memory, error);
    free(memory);
    return status;
}

static eden_status put_group(const eden_group *group, eden_writer *w, eden_error *error)
{
    eden_status status = put(w, "eden.rule.", group->name, eden_rule_of(group), error);
    if (!status && group->own_rule) status = put(w, "eden.own_rule.", group->name, "1", error);
    if (!status) status = put_settings(group, w, error);
    for (size_t h = 0; h < group->rule->hyper_count && !status; h++)
        status = put_schedule(group, h, w, error);
    return status;
}

static eden_status put_tensor(const eden_optimizer *o, const eden_entry *entry, eden_writer *w,
                              eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    const uint32_t split = eden_split_of(&entry->tensor);
    eden_status status =
        put(w, "eden.steps.", entry->name, eden_print_count(entry->steps, number), error);
    if (!status)
        status = put(w, "eden.group.", entry->name, o->groups[entry->group].name, error);
    if (!status && split != 1)
        status = put(w, "eden.split.", entry->name, eden_print_count(split, number), error);
    if (!status && entry->averages)
        status = put(w, "eden.averaged.", entry->name, eden_print_count(entry->averaged, number), error);
    const char *storage = eden_storage_text(&entry->tensor, number);
    if (!status && strcmp(storage, EDEN_PLAIN_STORAGE) != 0)
        status = put(w, "eden.storage.", entry->name, storage, error);
    return status;
}

/* The norm may be anything under EDEN_APPLY. */
static const char *norm_text(double norm, char text[EDEN_NUMBER_ROOM])
{
    if (norm != norm) return "nan";
    return norm - norm != 0 ? "infinity" : eden_print_number(norm, text);
}

static eden_status put_config(const eden_optimizer *o, eden_writer *w, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    eden_status status = EDEN_OK;
    for (size_t i = 0; eden_config_key(i) && !status; i++) {
        const char *value = eden_config_text(&o->config, i, number), *absent = eden_config_absent(i);
        if (!absent || strcmp(value, absent) != 0) status = put(w, eden_config_key(i), "", value, error);
    }
    if (status || o->config.loss_scale == 0) return status;
    status = put(w, "eden.loss_scale_now", "", eden_print_number(o->loss_scale, number), error);
    return status ? status : put(w, "eden.loss_scale_good", "", eden_print_count(o->good, number), error);
}

static eden_status put_optimizer(const eden_optimizer *o, eden_writer *w, eden_error *error)
{
    char number[EDEN_NUMBER_ROOM];
    eden_status status = put(w, "eden.steps", "", eden_print_count(o->steps, number), error);
    if (!status) status = put(w, "eden.skipped", "", eden_print_count(o->skipped, number), error);
    if (!status) status = put(w, "eden.grad_norm", "", norm_text(o->grad_norm, number), error);
    if (!status) status = put_config(o, w, error);
    if (!status && eden_takes_chances(o))
        status = put(w, "eden.seed", "", eden_print_count(o->config.seed, number), error);
    for (size_t g = 0; g < o->group_count && !status; g++)
        status = put_group(&o->groups[g], w, error);
    for (size_t i = 0; i < o->tensor_count && !status; i++)
        status = put_tensor(o, &o->tensors[i], w, error);
    for (size_t i = 0; i < o->note_count && !status; i++)
        status = put(w, "eden.note.", o->notes[i].key, o->notes[i].value, error);
    return status;
}

eden_status eden_write_meta(const eden_optimizer *o, eden_writer *w, uint32_t parts,
                            eden_error *error)
{
    const char *held = parts == EDEN_BOTH ? "weights,optim"
                       : parts == EDEN_OPTIM ? "optim" : "weights";
    eden_status status = put(w, "eden.format", "", EDEN_CHECKPOINT_FORMAT, error);
    if (!status) status = put(w, "eden.version", "", eden_version(), error);
    if (!status) status = put(w, "eden.parts", "", held, error);
    if (!status && parts & EDEN_OPTIM) status = put_optimizer(o, w, error);
    return status;
}
