/* load.c - an optimizer and its weights from a safetensors file.
 *
 * All that the file says is built beside the optimizer and checked by what checks
 * a new one; then the two are exchanged, which cannot fail. */
#include "checkpoint/checkpoint.h"
#include "optimizer/backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of programs older than `tell`. */
#define REPORT_OLDEST offsetof(eden_load_report, tell)

#define FLAGS ((uint32_t)(EDEN_PARTIAL | EDEN_CONVERT))

/* ---- differences --------------------------------------------------------------- */

/* It finds the caller's environment, and what it leaves is not ours. */
static void tell(eden_loading *l, const char *difference)
{
    eden_error printable;
    eden_float_env left;
    if (!l->report.tell) return;
    eden_fail(&printable, EDEN_E_MISMATCH, "%s", difference);
    eden_float_leave(l->outside);
    l->o->busy = 1;
    l->report.tell(l->report.context, printable.text);
    l->o->busy = 0;
    eden_float_enter(&left);
}

/* All of it is told; where a long name would fill the list, its middle is left out there. */
void eden_differ(eden_loading *l, const char *format, ...)
{
    char all[800], one[240];
    va_list list;
    va_start(list, format);
    vsnprintf(all, sizeof all, format, list);
    va_end(list);
    tell(l, all);
    const size_t length = strlen(all);
    if (length < sizeof one) memcpy(one, all, length + 1);
    else snprintf(one, sizeof one, "%.140s...%s", all, all + length - 90);
    const size_t used = strlen(l->list);
    const int all_listed = l->listed == l->differences++;
    if (!all_listed || used + strlen(one) + 3 > sizeof l->list) return;
    snprintf(l->list + used, sizeof l->list - used, "%s%s", used ? "; " : "", one);
    l->listed++;
}

eden_mark eden_mark_of(const eden_loading *l)
{
    return (eden_mark){ l->differences, l->listed, strlen(l->list) };
}

int eden_leaves_out(eden_loading *l, size_t i, eden_mark mark, int missing)
{
    if (l->differences == mark.differences || !(l->flags & EDEN_PARTIAL)) return 0;
    if (!*l->first) snprintf(l->first, sizeof l->first, "%s", l->list + mark.length);
    l->differences = mark.differences;
    l->listed = mark.listed;
    l->list[mark.length] = 0;
    *(missing ? &l->report.missing : &l->report.different) += 1;
    l->left[i] = 1;
    l->next.tensors[i].steps = l->o->tensors[i].steps;
    l->next.tensors[i].averaged = l->o->tensors[i].averaged;
    /* No tensor has taken more steps than its optimizer. */
    if (l->next.tensors[i].steps > l->next.steps) l->next.steps = l->next.tensors[i].steps;
    return 1;
}

void eden_extra(eden_loading *l, const char *format, const char *name)
{
    char text[400];
    snprintf(text, sizeof text, format, name);
    if (l->flags & EDEN_PARTIAL) {
        l->report.extra++;
        tell(l, text);
    } else {
        eden_differ(l, "%s", text);
    }
}

static eden_status report_differences(const eden_loading *l, eden_error *error)
{
    char more[40] = "";
    const uint64_t left = l->report.missing + l->report.different;
    if (l->differences == 0 && left > 0 && left == l->o->tensor_count)
        return eden_fail(error, EDEN_E_MISMATCH, "%.90s: none of the %zu tensors here fits, first: %.200s",
                         l->path, l->o->tensor_count, l->first);
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
    next->cuts = NULL;
    next->cut_count = 0;
    next->notes = NULL;
    next->note_count = 0;
    next->pending = 0;
    next->refused = 0;
    next->stale = EDEN_STALE_PLAN;
    next->groups = eden_alloc(next->group_count, sizeof *next->groups);
    next->tensors = eden_alloc(next->tensor_count, sizeof *next->tensors);
    l->other = eden_alloc(next->group_count, 1);
    l->left = eden_alloc(next->tensor_count, 1);
    l->weights = eden_alloc(next->tensor_count, sizeof *l->weights);
    int complete = next->groups && next->tensors && l->other && l->left && l->weights;
    for (size_t i = 0; next->tensors && i < next->tensor_count; i++) {
        next->tensors[i] = l->o->tensors[i];
        for (size_t k = 0; k < EDEN_ARRAYS; k++)
            if (!next->tensors[i].array[k].lent) next->tensors[i].array[k] = (eden_array){ 0 };
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
        for (size_t k = 0; k < EDEN_ARRAYS; k++) eden_array_free(&next->tensors[i].array[k]);
    for (size_t i = 0; i < next->note_count; i++) {
        free(next->notes[i].key);
        free(next->notes[i].value);
    }
    for (size_t i = 0; l->weights && i < next->tensor_count; i++) free(l->weights[i]);
    free(next->groups);
    free(next->tensors);
    free(next->cuts);
    free(next->notes);
    free(l->weights);
    free(l->other);
    free(l->left);
    eden_free_plan(next->plan);
}

/* What the file says of state in the caller's memory goes there when nothing can fail any
 * more; the plan knows that memory already. */
static void fill_lent(eden_optimizer *o, const eden_optimizer *before)
{
    for (size_t i = 0; i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) {
            eden_array *lent = &before->tensors[i].array[k], *now = &o->tensors[i].array[k];
            const eden_array own = *now;
            if (!lent->lent || !eden_arrays_alike(lent, now)) continue;
            memcpy(lent->data, own.data, (size_t)eden_array_bytes(&own));
            *now = *lent;
            *lent = own;
        }
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
        fill_lent(o, &before);
    }
    for (size_t i = 0; i < o->tensor_count; i++) {
        if (!l->weights[i]) continue;
        if (!(l->parts & EDEN_OPTIM)) eden_weights_changed(o, &o->tensors[i]);
        eden_write_copy(o, &o->tensors[i]);
    }
}

/* ---- loading -------------------------------------------------------------------------------- */

/* State in the caller's memory is read elsewhere first. */
static eden_status make_room(eden_loading *l, eden_error *error)
{
    for (size_t i = 0; i < l->next.tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) {
            eden_array *array = &l->next.tensors[i].array[k], own = *array;
            if (!array->lent) continue;
            if (!eden_array_allocate(&own)) return eden_fail(error, EDEN_E_MEMORY, "no memory to load %.100s", l->path);
            own.lent = 0;
            *array = own;
        }
    return EDEN_OK;
}

static eden_status load_optimizer(eden_loading *l, eden_error *error)
{
    eden_error cause = { EDEN_OK, "" };
    eden_status status = eden_load_meta(l, error);
    if (status) return status;
    /* Settings that do not go together matter only if they are for this optimizer. */
    const eden_status unfit = eden_resolve(&l->next, &cause);
    eden_compare_entries(l, !unfit);
    status = report_differences(l, error);
    if (!status && unfit) status = eden_fail(error, unfit, "%.100s: %s", l->path, cause.text);
    if (!status) status = eden_refresh(&l->next, error);
    return status ? status : make_room(l, error);
}

static eden_status load(eden_loading *l, eden_error *error)
{
    eden_status status = eden_file_open(&l->file, l->path, error);
    if (!status) status = identify(l, error);
    if (!status) status = begin(l, error);
    if (!status) status = eden_check_entries(l, error);
    if (!status && l->parts & EDEN_OPTIM) {
        status = load_optimizer(l, error);
    } else if (!status) {
        eden_compare_entries(l, 0);
        status = report_differences(l, error);
    }
    if (!status) status = eden_read_entries(l, error);
    if (!status && l->parts & EDEN_OPTIM) status = eden_check_state(l, error);
    /* Ranks load together or not at all. */
    if (l->o->backend) status = l->o->backend->vote(l->o->backend, status, error);
    if (!status) commit(l);
    discard(l);
    eden_file_close(l->file);
    return status;
}

static eden_status load_as(eden_optimizer *o, const char *call, const char *path, uint32_t parts,
                           uint32_t flags, eden_load_report *report, eden_error *error)
{
    eden_float_env saved;
    eden_loading l = { .o = o, .path = path, .flags = flags, .outside = &saved, .report = EDEN_LOAD_REPORT_INIT };
    eden_status status = eden_check_parts(o, call, path, &parts, 0, error);
    if (status) return status;
    if (flags & EDEN_CONVERT && parts != EDEN_WEIGHTS)
        return eden_fail(error, EDEN_E_ARGUMENT, "%s: EDEN_CONVERT goes with EDEN_WEIGHTS alone; state that is "
                         "rounded would not continue bit for bit", call);
    l.parts = parts;
    if (report && report->size >= sizeof *report) l.report.tell = report->tell, l.report.context = report->context;
    eden_float_enter(&saved); /* whether a value fits a float is a matter of rounding */
    status = load(&l, error);
    eden_float_leave(&saved);
    if (status || !report) return status;
    l.report.loaded = o->tensor_count - l.report.missing - l.report.different;
    memcpy(&report->loaded, &l.report.loaded, REPORT_OLDEST - offsetof(eden_load_report, loaded));
    return EDEN_OK;
}

eden_status eden_load(eden_optimizer *o, const char *path, uint32_t parts, eden_error *error)
{
    if (parts & FLAGS && !(parts & ~(FLAGS | EDEN_BOTH)))
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_load: EDEN_PARTIAL and EDEN_CONVERT are for "
                         "eden_load_as(), which reports what they did");
    return load_as(o, "eden_load", path, parts, 0, NULL, error);
}

eden_status eden_load_as(eden_optimizer *o, const char *path, uint32_t parts, eden_load_report *report,
                         eden_error *error)
{
    if (!report)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_load_as: report is NULL; start it from EDEN_LOAD_REPORT_INIT");
    const size_t known = report->size == REPORT_OLDEST ? REPORT_OLDEST : sizeof *report;
    const eden_status status =
        eden_check_struct(report, known, "eden_load_as: report", "EDEN_LOAD_REPORT_INIT", error);
    if (status) return status;
    return load_as(o, "eden_load_as", path, parts & ~FLAGS, parts & FLAGS, report, error);
}
