/* load_keys.c - does each key of a checkpoint belong where it is? */
#include "checkpoint/checkpoint.h"

#include <string.h>

const char *eden_after(const char *key, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(key, prefix, n) == 0 ? key + n : NULL;
}

/* SETTING.GROUP: a schedule of something that a known group's rule has not. */
static int misplaced(const eden_loading *l, const char *key)
{
    const char *dot = strchr(key, '.');
    const size_t g = dot ? eden_find_group(l->o, dot + 1) : SIZE_MAX;
    if (!dot || !eden_value_of(l, "eden.rule.", dot + 1, "", "")) return 1;
    if (g == SIZE_MAX || l->other[g]) return 0;
    const eden_rule *rule = l->o->groups[g].rule;
    for (size_t h = 0; h < rule->hyper_count; h++)
        if (strlen(rule->hypers[h].name) == (size_t)(dot - key) &&
            strncmp(rule->hypers[h].name, key, (size_t)(dot - key)) == 0)
            return 0;
    return 1;
}

/* What the file says and this library does not know may decide results. */
static int is_known(const char *key)
{
    static const char *const whole[] = { "format", "version", "parts", "steps", "skipped", "grad_norm",
                                         "loss_scale_now", "loss_scale_good", "seed" };
    static const char *const begin[] = { "rule.", "own_rule.", "settings.", "schedule.", "custom.", "plateau.",
                                         "steps.", "group.", "split.", "averaged.", "storage.", "note." };
    const char *rest = eden_after(key, "eden.");
    if (!rest) return 1; /* somebody else's */
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(rest, whole[i]) == 0) return 1;
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++)
        if (eden_after(rest, begin[i])) return 1;
    for (size_t i = 0; eden_config_key(i); i++)
        if (strcmp(key, eden_config_key(i)) == 0) return 1;
    return 0;
}

/* Is it what a step counter can be? Every step of a tensor is one of the optimizer's. */
static eden_status check_steps(const eden_loading *l, const char *key, const char *value, eden_error *error)
{
    uint64_t steps = 0;
    if (!eden_read_count(value, &steps)) return eden_damaged(l, key, "", value, error);
    if (steps <= l->steps) return EDEN_OK;
    return eden_fail(error, EDEN_E_FORMAT, "%.100s: %.150s = '%.20s' is above eden.steps, %llu, and a tensor takes no "
                     "step without its optimizer; the file is damaged", l->path, key, value,
                     (unsigned long long)l->steps);
}

/* What a key stands beside in every file that Eden writes. Is it there? */
static int has_its_kin(const eden_loading *l, const char *key)
{
    static const char *const of_tensor[] = { "eden.group.", "eden.split.", "eden.averaged.", "eden.storage." };
    const char *name, *value = eden_file_value(l->file, key);
    for (size_t i = 0; i < sizeof of_tensor / sizeof *of_tensor; i++)
        if ((name = eden_after(key, of_tensor[i])) && !eden_value_of(l, "eden.steps.", name, "", "")) return 0;
    if (eden_after(key, "eden.group.")) return eden_value_of(l, "eden.rule.", value, "", "") != NULL;
    if (eden_after(key, "eden.averaged.")) return eden_file_value(l->file, "eden.average") != NULL;
    if (eden_after(key, "eden.loss_scale_")) return eden_file_value(l->file, "eden.loss_scale") != NULL;
    if ((name = eden_after(key, "eden.settings."))) return eden_value_of(l, "eden.rule.", name, "", "") != NULL;
    if ((name = eden_after(key, "eden.own_rule.")))
        return strcmp(value, "1") == 0 && eden_value_of(l, "eden.rule.", name, "", "");
    if ((name = eden_after(key, "eden.custom.")))
        return strcmp(value, "1") == 0 && !eden_value_of(l, "eden.schedule.", name, "", "");
    if ((name = eden_after(key, "eden.plateau."))) return eden_value_of(l, "eden.schedule.", name, "", "") != NULL;
    return 1;
}

eden_status eden_check_key(eden_loading *l, const char *key, eden_error *error)
{
    const char *name, *value = eden_file_value(l->file, key);
    if (!is_known(key)) {
        eden_differ(l, "the file says %.255s, which Eden %s does not know", key, eden_version());
    } else if (!has_its_kin(l, key)) {
        return eden_damaged(l, key, "", value, error);
    } else if ((name = eden_after(key, "eden.rule."))) {
        if (eden_find_group(l->o, name) == SIZE_MAX)
            eden_differ(l, "the file's group '%.255s' is not here", name);
    } else if ((name = eden_after(key, "eden.steps."))) {
        if (eden_find_tensor(l->o, name) == SIZE_MAX && !(l->parts & EDEN_WEIGHTS))
            eden_extra(l, "the file's tensor '%.255s' is not here", name);
        return check_steps(l, key, value, error);
    } else if ((name = eden_after(key, "eden.schedule.")) || (name = eden_after(key, "eden.custom.")) ||
               (name = eden_after(key, "eden.plateau."))) {
        if (misplaced(l, name)) return eden_damaged(l, key, "", value, error);
    }
    return EDEN_OK;
}
