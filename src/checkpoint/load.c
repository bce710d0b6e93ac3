/* load.c - an optimizer and its weights from a safetensors file.
 *
 * All that the file says is built beside the optimizer and checked by what checks
 * a new one; then the two are exchanged, which cannot fail. */
#include "checkpoint/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"

/* ---- differences --------------------------------------------------------------- */

void eden_differ(eden_loading *l, const char *format, ...)
{
    char one[240];
    va_list list;
    va_start(list, format);
    vsnprintf(one, sizeof one, format, list);
    va_end(list);
    const size_t used = strlen(l->list);
    const int all_listed = l->listed == l->differences++;
    if (!all_listed || used + strlen(one) + 3 > sizeof l->list) return;
    snprintf(l->list + used, sizeof l->list - used, "%s%s", used ? "; " : "", one);
    l->listed++;
}

static eden_status report_differences(const eden_loading *l, eden_error *error)
{
    char more[40] = "";
    if (l->differences == 0) return EDEN_OK;
    if (l->listed < l->differences)
        snprintf(more, sizeof more, "; and %zu more", l->differences - l->listed);
    return eden_fail(error, EDEN_E_MISMATCH, "%.90s does not fit: %s%s", l->path, l->list, more);
}

/* ---- what kind of file ------------------------------------------------------------ */

static eden_status identify(eden_loading *l, eden_error *error)
{
    const char *format = eden_file_value(l->file, "eden.format");
    const char *version = eden_file_value(l->file, "eden.version");
    const char *parts = eden_file_value(l->file, "eden.parts");
    l->holds = EDEN_WEIGHTS; /* any other program's file */
    if (format) {
        if (strcmp(format, EDEN_CHECKPOINT_FORMAT) != 0)
            return eden_fail(error, EDEN_E_MISMATCH, "%.100s: a checkpoint of format '%.20s', by Eden %.20s; "
                             "Eden %s reads format " EDEN_CHECKPOINT_FORMAT, l->path, format,
                             version ? version : "of unknown version", eden_version());
        if (!parts) parts = "missing";
        if (strcmp(parts, "optim") == 0) l->holds = EDEN_OPTIM;
        else if (strcmp(parts, "weights,optim") == 0) l->holds = EDEN_BOTH;
        else if (strcmp(parts, "weights") != 0)
            return eden_fail(error, EDEN_E_FORMAT, "%.100s: eden.parts is '%.40s'; the file is damaged",
                             l->path, parts);
    }
    if (l->parts & EDEN_OPTIM && !(l->holds & EDEN_OPTIM))
        return eden_fail(error, EDEN_E_MISMATCH, "%.100s holds weights and no optimizer; load it with "
                         "EDEN_WEIGHTS", l->path);
    if (l->parts & EDEN_WEIGHTS && !(l->holds & EDEN_WEIGHTS))
        return eden_fail(error, EDEN_E_MISMATCH, "%.100s holds an optimizer and no weights; load it with "
                         "EDEN_OPTIM", l->path);
    return EDEN_OK;
}

int eden_holds_weights(const eden_loading *l, const char *name)
{
    char key[EDEN_KEY_ROOM];
    if (!(l->holds & EDEN_OPTIM)) return 1;
    return eden_join(key, "eden.steps.", name, "", "") && eden_file_value(l->file, key);
}

/* ---- beside the optimizer ------------------------------------------------------------ */

static eden_status begin(eden_loading *l, eden_error *error)
{
    eden_optimizer *next = &l->next;
    *next = *l->o;
    next->plan = NULL;
    next->notes = NULL;
    next->note_count = 0;
    next->pending = 0;
    next->refused = 0;
    next->stale = 1;
    next->groups = eden_alloc(next->group_count, sizeof *next->groups);
    next->tensors = eden_alloc(next->tensor_count, sizeof *next->tensors);
    l->other = eden_alloc(next->group_count, 1);
    l->weights = eden_alloc(next->tensor_count, sizeof *l->weights);
    int complete = next->groups && next->tensors && l->other && l->weights;
    for (size_t i = 0; next->tensors && i < next->tensor_count; i++) {
        next->tensors[i] = l->o->tensors[i];
        memset(next->tensors[i].array, 0, sizeof next->tensors[i].array);
    }
    for (size_t g = 0; next->groups && g < next->group_count; g++) {
        next->groups[g] = l->o->groups[g];
        next->groups[g].settings =
            eden_alloc(next->groups[g].rule->hyper_count, sizeof(eden_setting));
        complete = complete && next->groups[g].settings;
    }
    return complete ? EDEN_OK : eden_fail(error, EDEN_E_MEMORY, "no memory to load %.100s", l->path);
}

/* Free what was built, or after commit() what was there before. */
static void discard(eden_loading *l)
{
    eden_optimizer *next = &l->next;
    for (size_t g = 0; next->groups && g < next->group_count; g++) {
        eden_group *group = &next->groups[g];
        for (size_t h = 0; group->settings && h < group->rule->hyper_count; h++)
            eden_schedule_clear(&group->settings[h].schedule);
        free(group->settings);
    }
    for (size_t i = 0; next->tensors && i < next->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) free(next->tensors[i].array[k].data);
    for (size_t i = 0; i < next->note_count; i++) {
        free(next->notes[i].key);
        free(next->notes[i].value);
    }
    for (size_t i = 0; l->weights && i < next->tensor_count; i++) free(l->weights[i]);
    free(next->groups);
    free(next->tensors);
    free(next->notes);
    free(l->weights);
    free(l->other);
    eden_free_plan(next->plan);
}

static void commit(eden_loading *l)
{
    eden_optimizer *o = l->o, before = *l->o;
    for (size_t i = 0; i < o->tensor_count; i++)
        if (l->weights[i] && o->tensors[i].extent.count)
            memcpy(o->tensors[i].tensor.data, l->weights[i], (size_t)eden_weights_bytes(&o->tensors[i]));
    if (l->parts & EDEN_OPTIM) {
        *o = l->next;
        l->next = before;
    } else {
        eden_weights_changed(o);
    }
    for (size_t i = 0; i < o->tensor_count; i++)
        if (l->weights[i]) eden_write_copy(o, &o->tensors[i]);
}

/* ---- loading -------------------------------------------------------------------------------- */

static eden_status load_optimizer(eden_loading *l, eden_error *error)
{
    eden_error cause = { EDEN_OK, "" };
    eden_status status = eden_load_meta(l, error);
    if (status) return status;
    /* Settings that do not go together matter only if they are for this optimizer. */
    const eden_status unfit = eden_resolve(&l->next, &cause);
    status = eden_compare_entries(l, !unfit, error);
    if (!status) status = report_differences(l, error);
    if (!status && unfit) status = eden_fail(error, unfit, "%.100s: %s", l->path, cause.text);
    return status ? status : eden_refresh(&l->next, error);
}

static eden_status load(eden_loading *l, eden_error *error)
{
    eden_status status = eden_file_open(&l->file, l->path, error);
    if (!status) status = identify(l, error);
    if (!status) status = begin(l, error);
    if (!status && l->parts & EDEN_OPTIM) {
        status = load_optimizer(l, error);
    } else if (!status) {
        status = eden_compare_entries(l, 0, error);
        if (!status) status = report_differences(l, error);
    }
    if (!status) status = eden_read_entries(l, error);
    if (!status) commit(l);
    discard(l);
    eden_file_close(l->file);
    return status;
}

eden_status eden_load(eden_optimizer *o, const char *path, uint32_t parts, eden_error *error)
{
    eden_loading l = { .o = o, .path = path };
    eden_float_env saved;
    eden_status status = eden_check_parts(o, "eden_load", path, &parts, 0, error);
    if (status) return status;
    l.parts = parts;
    eden_float_enter(&saved); /* whether a value fits a float is a matter of rounding */
    status = load(&l, error);
    eden_float_leave(&saved);
    return status;
}
