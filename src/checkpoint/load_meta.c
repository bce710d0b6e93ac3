/* load_meta.c - groups, counts and notes from a checkpoint's metadata. */
#include "checkpoint/checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optimizer/settings.h"

const char *eden_value_of(const eden_loading *l, const char *a, const char *b, const char *c,
                          const char *d)
{
    char key[EDEN_KEY_ROOM];
    eden_join(key, a, b, c, d);
    return eden_file_value(l->file, key);
}

static int is_marked(const eden_loading *l, const char *a, const char *b, const char *c,
                     const char *d)
{
    const char *value = eden_value_of(l, a, b, c, d);
    return value && strcmp(value, "1") == 0;
}

eden_status eden_damaged(const eden_loading *l, const char *key, const char *name,
                         const char *value, eden_error *error)
{
    if (!value)
        return eden_fail(error, EDEN_E_FORMAT, "%.100s: %s%.100s is missing; the file is damaged",
                         l->path, key, name);
    return eden_fail(error, EDEN_E_FORMAT, "%.100s: %s%.100s = '%.60s' makes no sense; the file is "
                     "damaged", l->path, key, name, value);
}

/* Say in which file and where a cause lies. A name that the file should not have is
 * a mistake of the file's. */
static eden_status in_group(const eden_loading *l, const eden_group *group, const eden_error *cause,
                            eden_error *error)
{
    const eden_status status =
        cause->status == EDEN_E_NAME ? EDEN_E_FORMAT : (eden_status)cause->status;
    return eden_fail(error, status, "%.100s: group '%.60s': %s", l->path, group->name, cause->text);
}

/* ---- schedules ------------------------------------------------------------------- */

static eden_status load_text_schedule(const eden_loading *l, eden_group *group, size_t h,
                                      const char *text, eden_error *error)
{
    const char *setting = group->rule->hypers[h].name;
    const char *memory = eden_value_of(l, "eden.plateau.", setting, ".", group->name);
    eden_schedule_node *schedule = &group->settings[h].schedule;
    eden_error cause = { EDEN_OK, "" };
    if (group->rule->hypers[h].kind != EDEN_REAL)
        return eden_damaged(l, "eden.schedule.", setting, text, error);
    if (eden_schedule_compile(schedule, text, &cause)) return in_group(l, group, &cause, error);
    group->settings[h].has_schedule = 1; /* from here on it is freed with the group */

    char *fresh = eden_memory_of(schedule);
    if (!fresh) return eden_fail(error, EDEN_E_MEMORY, "no memory to load %.100s", l->path);
    const int remembers = *fresh != 0;
    free(fresh);
    if (remembers && !memory) return eden_damaged(l, "eden.plateau.", setting, NULL, error);
    if (!remembers && memory) return eden_damaged(l, "eden.plateau.", setting, memory, error);
    if (memory && eden_schedule_remember(schedule, memory, &cause))
        return in_group(l, group, &cause, error);
    return EDEN_OK;
}

/* A function cannot come from a file: it stays where it is, if the file has one there. */
static eden_status load_schedule(eden_loading *l, size_t g, size_t h, eden_error *error)
{
    eden_group *group = &l->next.groups[g];
    const eden_setting *live = &l->o->groups[g].settings[h];
    const char *setting = group->rule->hypers[h].name;
    const char *text = eden_value_of(l, "eden.schedule.", setting, ".", group->name);
    const int custom = is_marked(l, "eden.custom.", setting, ".", group->name);
    const int is_custom = live->has_schedule && live->schedule.function;
    if (custom && !is_custom)
        eden_differ(l, "the schedule of %s in group '%.255s' is a function in the file; set it with "
                    "eden_schedule_custom() first", setting, group->name);
    else if (!custom && is_custom)
        eden_differ(l, "the schedule of %s in group '%.255s' is a function here and not in the file",
                    setting, group->name);
    else if (custom)
        group->settings[h] = (eden_setting){ .has_schedule = 1, .schedule = live->schedule };
    else if (text)
        return load_text_schedule(l, group, h, text, error);
    return EDEN_OK;
}

/* ---- groups ------------------------------------------------------------------------- */

static int inherits_other(const eden_loading *l, size_t g, int own)
{
    return g > 0 && !own && !l->o->groups[g].own_rule && l->other[0];
}

/* Is the group the file's in kind? */
static int same_group(eden_loading *l, size_t g)
{
    const eden_group *group = &l->next.groups[g];
    const char *rule = eden_value_of(l, "eden.rule.", group->name, "", "");
    const int own = is_marked(l, "eden.own_rule.", group->name, "", "");
    l->other[g] = 1;
    if (!rule)
        eden_differ(l, "group '%.255s' is not in the file", group->name);
    else if (inherits_other(l, g, own))
        return 0;
    else if (strcmp(rule, eden_rule_of(group)) != 0)
        eden_differ(l, "group '%.255s' uses %.40s in the file and %s here", group->name, rule,
                    eden_rule_of(group));
    else if (own != (group->own_rule != 0))
        eden_differ(l, "group '%.255s' %s in the file and %s here", group->name,
                    own ? "has a rule of its own" : "inherits its rule",
                    own ? "inherits it" : "has one of its own");
    else
        l->other[g] = 0;
    return !l->other[g];
}

static eden_status load_group(eden_loading *l, size_t g, eden_error *error)
{
    eden_group *group = &l->next.groups[g];
    double values[EDEN_MAX_HYPERS];
    unsigned char given[EDEN_MAX_HYPERS] = { 0 };
    eden_error cause = { EDEN_OK, "" };
    if (!same_group(l, g)) return EDEN_OK;

    const char *settings = eden_value_of(l, "eden.settings.", group->name, "", "");
    if (!settings) return eden_damaged(l, "eden.settings.", group->name, NULL, error);
    if (eden_parse_settings(group->rule, settings, values, given, &cause))
        return in_group(l, group, &cause, error);
    for (size_t h = 0; h < group->rule->hyper_count; h++) {
        const eden_status status = load_schedule(l, g, h, error);
        if (status) return status;
        group->settings[h].is_set = given[h];
        group->settings[h].value = given[h] ? values[h] : 0;
    }
    return EDEN_OK;
}

/* ---- counts ---------------------------------------------------------------------------- */

static eden_status load_count(const eden_loading *l, const char *key, const char *name,
                              uint64_t *count, eden_error *error)
{
    const char *text = eden_value_of(l, key, name, "", "");
    return text && eden_read_count(text, count) ? EDEN_OK : eden_damaged(l, key, name, text, error);
}

static eden_status load_config(eden_loading *l, eden_error *error)
{
    for (size_t i = 0; eden_config_key(i); i++) {
        char number[EDEN_NUMBER_ROOM];
        const char *key = eden_config_key(i), *text = eden_file_value(l->file, key);
        const char *here = eden_config_text(&l->next.config, i, number);
        if (!text) text = eden_config_absent(i);
        if (!text) return eden_damaged(l, key, "", NULL, error);
        if (strcmp(text, here) != 0)
            eden_differ(l, "config.%s is %.30s in the file and %s here", key + strlen("eden."), text,
                        here);
    }
    return EDEN_OK;
}

/* A file without a scale differs in its config, which is said already. */
static eden_status load_loss_scale(eden_loading *l, eden_error *error)
{
    eden_optimizer *next = &l->next;
    uint64_t good = 0;
    if (next->config.loss_scale == 0 || !eden_file_value(l->file, "eden.loss_scale")) return EDEN_OK;
    const char *scale = eden_file_value(l->file, "eden.loss_scale_now");
    if (!scale || !eden_read_number(scale, strlen(scale), &next->loss_scale) ||
        !eden_is_loss_scale(next->loss_scale))
        return eden_damaged(l, "eden.loss_scale_now", "", scale, error);
    const eden_status status = load_count(l, "eden.loss_scale_good", "", &good, error);
    if (!status && good >= next->config.loss_scale_window) {
        /* With another window it may well be right. */
        if (l->differences) return EDEN_OK;
        return eden_damaged(l, "eden.loss_scale_good", "", eden_file_value(l->file, "eden.loss_scale_good"), error);
    }
    next->good = (uint32_t)good;
    return status;
}

static eden_status load_counts(eden_loading *l, eden_error *error)
{
    eden_optimizer *next = &l->next;
    eden_status status = load_count(l, "eden.steps", "", &next->steps, error);
    if (!status) status = load_count(l, "eden.skipped", "", &next->skipped, error);
    if (status) return status;
    l->steps = next->steps;

    const char *norm = eden_file_value(l->file, "eden.grad_norm");
    if (norm && strcmp(norm, "nan") == 0) next->grad_norm = NAN;
    else if (norm && strcmp(norm, "infinity") == 0) next->grad_norm = INFINITY;
    else if (!norm || !eden_read_number(norm, strlen(norm), &next->grad_norm) || next->grad_norm < 0)
        return eden_damaged(l, "eden.grad_norm", "", norm, error);
    status = load_config(l, error);
    return status ? status : load_loss_scale(l, error);
}

static eden_status load_averaged(const eden_loading *l, eden_entry *entry, eden_error *error)
{
    if (!entry->averages || !eden_file_value(l->file, "eden.average")) return EDEN_OK;
    const eden_status status = load_count(l, "eden.averaged.", entry->name, &entry->averaged, error);
    if (status || entry->averaged <= entry->steps) return status;
    return eden_damaged(l, "eden.averaged.", entry->name, eden_value_of(l, "eden.averaged.", entry->name, "", ""), error);
}

/* Does the file say that some tensor rounds by chance? */
static int file_takes_chances(const eden_loading *l)
{
    const char *key;
    for (size_t i = 0; (key = eden_file_key(l->file, i)); i++)
        if (eden_after(key, "eden.storage.") && strstr(eden_file_value(l->file, key), ",stochastic")) return 1;
    return 0;
}

/* Of rounding by chance; where only one side has that, storages differ. */
static eden_status load_seed(eden_loading *l, eden_error *error)
{
    uint64_t seed = 0;
    const char *text = eden_file_value(l->file, "eden.seed");
    const int chances = file_takes_chances(l);
    if (!text && !chances) return EDEN_OK;
    if (!chances) return eden_damaged(l, "eden.seed", "", text, error);
    const eden_status status = load_count(l, "eden.seed", "", &seed, error);
    if (!status && eden_takes_chances(&l->next) && seed != l->next.config.seed)
        eden_differ(l, "config.seed is %.30s in the file and %llu here", text,
                    (unsigned long long)l->next.config.seed);
    return status;
}

static eden_status load_tensor(eden_loading *l, eden_entry *entry, eden_error *error)
{
    const char *here = l->next.groups[entry->group].name, *name = entry->name;
    char number[EDEN_NUMBER_ROOM];
    uint64_t split = 1;
    if (!eden_value_of(l, "eden.steps.", name, "", "")) {
        if (!(l->parts & EDEN_WEIGHTS)) eden_differ(l, "tensor '%.255s' is not in the file", name);
        return EDEN_OK; /* else its weights will be missed */
    }
    eden_status status = load_count(l, "eden.steps.", name, &entry->steps, error);
    if (!status && eden_value_of(l, "eden.split.", name, "", ""))
        status = load_count(l, "eden.split.", name, &split, error);
    if (!status) status = load_averaged(l, entry, error);
    const char *group = eden_value_of(l, "eden.group.", name, "", "");
    if (!status && !group) status = eden_damaged(l, "eden.group.", name, NULL, error);
    if (status) return status;
    if (strcmp(group, here) != 0)
        eden_differ(l, "tensor '%.255s' is in group '%.255s' in the file and in '%.255s' here", name, group,
                    here);
    const char *storage = eden_value_of(l, "eden.storage.", name, "", "");
    if (!storage) storage = EDEN_PLAIN_STORAGE;
    if (strcmp(storage, eden_storage_text(&entry->tensor, number)) != 0)
        eden_differ(l, "tensor '%.255s' is stored as %.30s in the file and as %s here", name, storage,
                    number);
    if (split != eden_split_of(&entry->tensor))
        eden_differ(l, "tensor '%.255s' has split = %llu in the file and %u here", name,
                    (unsigned long long)split, eden_split_of(&entry->tensor));
    return EDEN_OK;
}

/* ---- notes ----------------------------------------------------------------------------- */

static eden_status load_notes(eden_loading *l, eden_error *error)
{
    size_t count = 0;
    const char *key, *name;
    for (size_t i = 0; (key = eden_file_key(l->file, i)); i++) count += eden_after(key, "eden.note.") != NULL;
    l->next.notes = eden_alloc(count, sizeof *l->next.notes);
    int complete = l->next.notes != NULL;
    for (size_t i = 0; complete && (key = eden_file_key(l->file, i)); i++) {
        if (!(name = eden_after(key, "eden.note."))) continue;
        const char *value = eden_file_value(l->file, key);
        if (!eden_name_ok(name)) return eden_damaged(l, "a note's key ", name, value, error);
        eden_text_pair *note = &l->next.notes[l->next.note_count++];
        *note = (eden_text_pair){ eden_copy_text(name), eden_copy_text(value) };
        complete = note->key && note->value;
    }
    return complete ? EDEN_OK : eden_fail(error, EDEN_E_MEMORY, "no memory to load %.100s", l->path);
}

eden_status eden_load_meta(eden_loading *l, eden_error *error)
{
    const char *key;
    eden_status status = load_counts(l, error);
    if (!status) status = load_seed(l, error);
    for (size_t g = 0; g < l->next.group_count && !status; g++) status = load_group(l, g, error);
    for (size_t i = 0; i < l->next.tensor_count && !status; i++) {
        const eden_mark mark = eden_mark_of(l);
        status = load_tensor(l, &l->next.tensors[i], error);
        eden_leaves_out(l, i, mark, !eden_value_of(l, "eden.steps.", l->next.tensors[i].name, "", ""));
    }
    for (size_t i = 0; !status && (key = eden_file_key(l->file, i)); i++)
        status = eden_check_key(l, key, error);
    return status ? status : load_notes(l, error);
}
