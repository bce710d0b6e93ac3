/* groups.c - groups of tensors, their settings, and what moves them. */
#include "optimizer/optimizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/settings.h"
#include "optimizer/text.h"

size_t eden_find_group(const eden_optimizer *o, const char *name)
{
    if (!name) return 0;
    for (size_t i = 0; i < o->group_count; i++)
        if (strcmp(o->groups[i].name, name) == 0) return i;
    return SIZE_MAX;
}

const eden_rule *eden_group_rule(const eden_optimizer *o, const char *group)
{
    const size_t g = o ? eden_find_group(o, group) : SIZE_MAX;
    return g == SIZE_MAX ? NULL : o->groups[g].rule;
}

void eden_free_group(eden_group *group)
{
    for (size_t i = 0; group->settings && i < group->rule->hyper_count; i++)
        eden_schedule_clear(&group->settings[i].schedule);
    free(group->settings);
    free(group->name);
}

static eden_status unknown_rule(const char *rule, eden_error *error)
{
    const char *near = eden_nearest_rule(rule);
    return eden_fail(error, EDEN_E_NAME, "no rule is called '%.60s'%s%s%s", rule,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

eden_status eden_new_group(eden_optimizer *o, const char *name, const char *rule,
                           eden_error *error)
{
    eden_group group = { 0 };
    if (!name || !eden_name_ok(name))
        return eden_fail(error, EDEN_E_NAME, "a group's name is 1 to 255 bytes of UTF-8 without "
                                             "control characters");
    if (eden_find_group(o, name) != SIZE_MAX)
        return eden_fail(error, EDEN_E_NAME, "there is a group '%s' already; choose another name", name);
    if (rule) {
        group.rule = eden_rule_find(rule, &group.preset);
        if (!group.rule) return unknown_rule(rule, error);
        group.own_rule = o->group_count > 0;
    } else {
        group.rule = o->groups[0].rule;
        group.preset = o->groups[0].preset;
    }
    group.name = eden_copy_text(name);
    group.settings = eden_alloc(group.rule->hyper_count, sizeof *group.settings);
    eden_group *groups = realloc(o->groups, (o->group_count + 1) * sizeof *groups);
    if (groups) o->groups = groups;
    if (!group.name || !group.settings || !groups) {
        eden_free_group(&group);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the group '%s'", name);
    }
    o->groups[o->group_count++] = group;
    o->stale |= EDEN_STALE_PLAN;
    return EDEN_OK;
}

eden_status eden_add_group(eden_optimizer *o, const char *group, const char *rule,
                           const char *settings, eden_error *error)
{
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_add_group: optimizer is NULL");
    eden_status status = eden_not_ahead(o, "eden_add_group", error);
    if (!status) status = eden_new_group(o, group, rule, error);
    if (status || !settings) return status;
    status = eden_set_text(o, group, settings, error);
    if (status) eden_free_group(&o->groups[--o->group_count]);
    return status;
}

/* ---- settings ------------------------------------------------------------------ */

/* The group and the hyperparameter a call names. */
static eden_status find_setting(const eden_optimizer *o, const char *group, const char *name,
                                size_t *g, size_t *h, eden_error *error)
{
    if (!o || !name)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s is NULL", o ? "a setting's name" : "optimizer");
    *g = eden_find_group(o, group);
    if (*g == SIZE_MAX) return eden_fail(error, EDEN_E_NAME, "no group is called '%.60s'; add it first", group);
    *h = eden_rule_hyper_index(o->groups[*g].rule, name);
    return *h == SIZE_MAX ? eden_unknown_setting(o->groups[*g].rule, name, strlen(name), error) : EDEN_OK;
}

eden_status eden_set(eden_optimizer *o, const char *group, const char *name, double value,
                     eden_error *error)
{
    size_t g, h;
    eden_status status = find_setting(o, group, name, &g, &h, error);
    if (!status) status = eden_not_ahead(o, "eden_set", error);
    if (!status) status = eden_check_value(o->groups[g].rule, h, value, error);
    if (status) return status;
    o->groups[g].settings[h].value = value;
    o->groups[g].settings[h].is_set = 1;
    o->stale |= EDEN_STALE_VALUES;
    return EDEN_OK;
}

eden_status eden_set_text(eden_optimizer *o, const char *group, const char *settings,
                          eden_error *error)
{
    double values[EDEN_MAX_HYPERS];
    unsigned char given[EDEN_MAX_HYPERS] = { 0 };
    if (!o || !settings)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_set_text: %s is NULL", o ? "settings" : "optimizer");
    const size_t g = eden_find_group(o, group);
    if (g == SIZE_MAX) return eden_fail(error, EDEN_E_NAME, "no group is called '%.60s'; add it first", group);
    eden_status status = eden_not_ahead(o, "eden_set_text", error);
    if (!status) status = eden_parse_settings(o->groups[g].rule, settings, values, given, error);
    if (status) return status;
    for (size_t h = 0; h < o->groups[g].rule->hyper_count; h++) {
        if (!given[h]) continue;
        o->groups[g].settings[h].value = values[h];
        o->groups[g].settings[h].is_set = 1;
    }
    o->stale |= EDEN_STALE_VALUES;
    return EDEN_OK;
}

/* ---- resolving ------------------------------------------------------------------ */

static int inherits(const eden_optimizer *o, const eden_group *group)
{
    return group != &o->groups[0] && !group->own_rule;
}

const eden_schedule_node *eden_schedule_of(const eden_optimizer *o, const eden_group *group,
                                           size_t hyper)
{
    if (group->settings[hyper].has_schedule) return &group->settings[hyper].schedule;
    if (inherits(o, group) && o->groups[0].settings[hyper].has_schedule)
        return &o->groups[0].settings[hyper].schedule;
    return NULL;
}

/* Values of one group before schedules. level[h] becomes 1 where the value was
 * said here, 0 where by the defaults, and 2 where nobody said anything. */
static void resolve_group(const eden_optimizer *o, const eden_group *group, double *base,
                          unsigned char *level)
{
    unsigned char preset[EDEN_MAX_HYPERS] = { 0 };
    const size_t count = group->rule->hyper_count;
    const int here = inherits(o, group) ? 0 : 1;
    eden_rule_defaults(group->rule, base, count);
    if (group->preset) eden_parse_settings(group->rule, group->preset->settings, base, preset, NULL);
    for (size_t h = 0; h < count; h++) {
        level[h] = preset[h] ? (unsigned char)here : 2;
        if (inherits(o, group) && o->groups[0].settings[h].is_set)
            base[h] = o->groups[0].settings[h].value, level[h] = 0;
        if (group->settings[h].is_set) base[h] = group->settings[h].value, level[h] = 1;
    }
}

/* A setting that a schedule replaces is not 0, whatever its own value is. */
static void resolve_structure(const eden_optimizer *o, const eden_group *group, const double *base,
                              double *struc)
{
    for (size_t h = 0; h < group->rule->hyper_count; h++) {
        const eden_schedule_node *schedule = eden_schedule_of(o, group, h);
        const eden_hyper *hyper = &group->rule->hypers[h];
        const double middle = hyper->high < 1 ? hyper->high / 2 : 0.5;
        struc[h] = schedule && schedule->absolute && base[h] == 0 ? middle : base[h];
    }
}

/* Does some group that takes setting h from group g meet need i? A need unmet in
 * a group that merely inherits the setting is no mistake of anybody's. */
static int met_somewhere(const eden_optimizer *o, size_t g, size_t h, size_t i)
{
    for (size_t k = 0; k < o->group_count; k++) {
        const eden_group *other = &o->groups[k];
        const int takes = k == g || (g == 0 && inherits(o, other) && !other->settings[h].is_set);
        if (takes && !(other->rule->needs_unmet(other->struc) >> i & 1)) return 1;
    }
    return 0;
}

static eden_status check_group(const eden_optimizer *o, size_t g, const unsigned char *level,
                               eden_error *error)
{
    const eden_group *group = &o->groups[g];
    const eden_rule *rule = group->rule;
    const uint32_t refused = rule->refused(group->struc), unmet = rule->needs_unmet(group->struc);
    char in[EDEN_MAX_NAME + 16] = "";
    if (g > 0) snprintf(in, sizeof in, " in group '%s'", group->name);

    for (size_t i = 0; i < rule->refusal_count; i++)
        if (refused >> i & 1)
            return eden_fail(error, EDEN_E_VALUE, "%s: %s%s", rule->name, rule->refusals[i].why, in);
    for (size_t i = 0; i < rule->need_count; i++) {
        const size_t h = rule->needs[i].hyper;
        char value[EDEN_NUMBER_ROOM];
        if (!(unmet >> i & 1) || level[h] != 1 || group->base[h] == rule->hypers[h].initial ||
            met_somewhere(o, g, h, i))
            continue;
        return eden_fail(error, EDEN_E_VALUE, "%s: %s = %s has no effect%s without %s", rule->name,
                         rule->hypers[h].name, eden_show_value(rule, h, group->base[h], value), in,
                         rule->needs[i].why);
    }
    return EDEN_OK;
}

eden_status eden_resolve(eden_optimizer *o, eden_error *error)
{
    unsigned char level[EDEN_MAX_HYPERS];
    for (size_t g = 0; g < o->group_count; g++) {
        resolve_group(o, &o->groups[g], o->groups[g].base, level);
        resolve_structure(o, &o->groups[g], o->groups[g].base, o->groups[g].struc);
    }
    for (size_t g = 0; g < o->group_count; g++) {
        double base[EDEN_MAX_HYPERS];
        resolve_group(o, &o->groups[g], base, level);
        const eden_status status = check_group(o, g, level, error);
        if (status) return status;
    }
    return EDEN_OK;
}

/* ---- schedules -------------------------------------------------------------------- */

static eden_status schedulable(const eden_optimizer *o, size_t g, size_t h, eden_error *error)
{
    const eden_rule *rule = o->groups[g].rule;
    if (rule->hypers[h].kind == EDEN_REAL) return eden_not_ahead(o, "eden_schedule", error);
    return eden_fail(error, EDEN_E_VALUE, "%s: %s is a %s and cannot be scheduled", rule->name,
                     rule->hypers[h].name, rule->hypers[h].kind == EDEN_FLAG ? "flag" : "choice");
}

static void put_schedule(eden_optimizer *o, size_t g, size_t h, const eden_schedule_node *node)
{
    eden_setting *setting = &o->groups[g].settings[h];
    eden_schedule_clear(&setting->schedule);
    setting->has_schedule = node != NULL;
    if (node) setting->schedule = *node;
    o->stale |= EDEN_STALE_PLAN;
}

eden_status eden_schedule(eden_optimizer *o, const char *group, const char *name,
                          const char *schedule, eden_error *error)
{
    eden_schedule_node node = { 0 };
    size_t g, h;
    eden_status status = find_setting(o, group, name, &g, &h, error);
    if (!status) status = schedulable(o, g, h, error);
    if (!status && schedule) status = eden_schedule_compile(&node, schedule, error);
    if (status) return status;
    put_schedule(o, g, h, schedule ? &node : NULL);
    return EDEN_OK;
}

eden_status eden_schedule_custom(eden_optimizer *o, const char *group, const char *name,
                                 eden_schedule_function function, void *context, eden_error *error)
{
    const eden_schedule_node node = { .function = function, .context = context };
    size_t g, h;
    eden_status status = find_setting(o, group, name, &g, &h, error);
    if (!status) status = schedulable(o, g, h, error);
    if (status) return status;
    if (!function) return eden_fail(error, EDEN_E_ARGUMENT, "eden_schedule_custom: function is NULL");
    put_schedule(o, g, h, &node);
    return EDEN_OK;
}

eden_status eden_report(eden_optimizer *o, double loss, eden_error *error)
{
    if (!o) return eden_fail(error, EDEN_E_ARGUMENT, "eden_report: optimizer is NULL");
    if (!eden_is_finite(loss))
        return eden_fail(error, EDEN_E_VALUE, "eden_report: the loss is not a finite number");
    const eden_status status = eden_not_early(o, "eden_report", error);
    if (status) return status;
    for (size_t g = 0; g < o->group_count; g++)
        for (size_t h = 0; h < o->groups[g].rule->hyper_count; h++)
            if (o->groups[g].settings[h].has_schedule)
                eden_schedule_report(&o->groups[g].settings[h].schedule, loss);
    return EDEN_OK;
}

static double value_at(const eden_optimizer *o, const eden_group *group, size_t h, double base,
                       uint64_t s)
{
    const eden_schedule_node *schedule = eden_schedule_of(o, group, h);
    return schedule ? eden_schedule_apply(schedule, base, s) : base;
}

eden_status eden_schedule_all(eden_optimizer *o, uint64_t s, eden_error *error)
{
    for (size_t g = 0; g < o->group_count; g++) {
        eden_group *group = &o->groups[g];
        for (size_t h = 0; h < group->rule->hyper_count; h++) {
            o->busy = 1;
            group->now[h] = value_at(o, group, h, group->base[h], s);
            o->busy = 0;
            if (group->now[h] == group->base[h] || eden_rule_allows(group->rule, h, group->now[h]))
                continue;
            char value[EDEN_NUMBER_ROOM], range[64];
            return eden_fail(error, EDEN_E_VALUE, "%s: the schedule of %s gives %s at step %llu, "
                             "outside %s", group->rule->name, group->rule->hypers[h].name,
                             eden_print_number(group->now[h], value), (unsigned long long)s,
                             eden_show_range(&group->rule->hypers[h], range));
        }
    }
    return EDEN_OK;
}

/* At step 0, before any schedule. */
static eden_status get(const eden_optimizer *o, const char *group, const char *name, uint64_t step,
                       double *value, eden_error *error)
{
    size_t g, h;
    double base[EDEN_MAX_HYPERS];
    unsigned char level[EDEN_MAX_HYPERS];
    const eden_status status = find_setting(o, group, name, &g, &h, error);
    if (status) return status;
    if (!value) return eden_fail(error, EDEN_E_ARGUMENT, "value is NULL");
    eden_float_env saved;
    eden_float_enter(&saved);
    resolve_group(o, &o->groups[g], base, level);
    eden_float_leave(&saved);
    *value = step ? value_at(o, &o->groups[g], h, base[h], step) : base[h];
    return EDEN_OK;
}

eden_status eden_get(const eden_optimizer *o, const char *group, const char *name, double *value,
                     eden_error *error)
{
    return get(o, group, name, 0, value, error);
}

eden_status eden_get_at(const eden_optimizer *o, const char *group, const char *name,
                        uint64_t step, double *value, eden_error *error)
{
    if (step == 0) return eden_fail(error, EDEN_E_VALUE, "eden_get_at: steps count from 1");
    return get(o, group, name, step, value, error);
}
