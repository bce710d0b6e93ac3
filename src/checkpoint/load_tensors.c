/* load_tensors.c - the entries of a checkpoint, by name. */
#include "checkpoint/checkpoint.h"

#include <stdio.h>
#include <string.h>

/* ---- comparing ------------------------------------------------------------------- */

static const char *show_shape(uint32_t ndim, const uint64_t *shape, char text[80])
{
    size_t used = (size_t)snprintf(text, 80, "[");
    for (uint32_t d = 0; d < ndim && used < 50; d++)
        used += (size_t)snprintf(text + used, 80 - used, "%s%llu", d ? ", " : "",
                                 (unsigned long long)shape[d]);
    snprintf(text + used, 80 - used, "]");
    return text;
}

/* Compare one entry, which has to be there if it is `wanted`. */
static eden_status compare(eden_loading *l, const char *name, const char *what, uint32_t ndim,
                           const uint64_t *shape, int wanted, eden_error *error)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    char there[80], here[80];
    const size_t i = eden_file_find(l->file, name);
    if (i == SIZE_MAX) {
        if (wanted) eden_differ(l, "%s is not in the file", what);
        return EDEN_OK;
    }
    const eden_status status = eden_file_at(l->file, i, &t, error);
    if (status) return status;
    if (strcmp(t.dtype, "F32") != 0)
        eden_differ(l, "%s is %.10s in the file and F32 here", what, t.dtype);
    else if (t.ndim != ndim || memcmp(t.shape, shape, ndim * sizeof *shape) != 0)
        eden_differ(l, "%s is %s in the file and %s here", what, show_shape(t.ndim, t.shape, there),
                    show_shape(ndim, shape, here));
    return EDEN_OK;
}

static eden_status compare_weights(eden_loading *l, const eden_entry *entry, eden_error *error)
{
    char what[100];
    const int wanted = (l->parts & EDEN_WEIGHTS) != 0;
    if (!(l->holds & EDEN_WEIGHTS)) return EDEN_OK; /* such an entry is state */
    snprintf(what, sizeof what, "tensor '%.60s'", entry->name);
    if (eden_holds_weights(l, entry->name))
        return compare(l, entry->name, what, entry->tensor.ndim, entry->tensor.shape, wanted, error);
    if (wanted) eden_differ(l, "%s is not in the file", what);
    return EDEN_OK;
}

/* Values that slot s of tensor i will have; 0 if the slot does not exist. */
static uint64_t expected(const eden_loading *l, size_t i, size_t s)
{
    const eden_entry *entry = &l->next.tensors[i];
    const eden_group *group = &l->next.groups[entry->group];
    return l->other[entry->group] ? 0 : eden_slot_length(group->rule, s, group->struc, entry);
}

static eden_status compare_state(eden_loading *l, size_t i, eden_error *error)
{
    const eden_entry *entry = &l->next.tensors[i];
    const eden_rule *rule = l->next.groups[entry->group].rule;
    char name[EDEN_KEY_ROOM], what[160];
    eden_status status = EDEN_OK;
    if (!eden_holds_weights(l, entry->name)) return EDEN_OK; /* the file has no such tensor */
    for (size_t s = 0; s < rule->slot_count && !status; s++) {
        const uint64_t length = expected(l, i, s);
        const int full = rule->slots[s].shape == EDEN_FULL;
        if (!length || !eden_join(name, entry->name, "@", rule->slots[s].name, "")) continue;
        snprintf(what, sizeof what, "state '%.40s' of '%.60s'", rule->slots[s].name, entry->name);
        status = full ? compare(l, name, what, entry->tensor.ndim, entry->tensor.shape, 1, error)
                      : compare(l, name, what, 1, &length, 1, error);
    }
    return status;
}

/* ---- entries that nobody expects ------------------------------------------------------ */

/* The tensor and the slot that NAME@SLOT speaks of; 0 if there is no such tensor
 * here. *s is EDEN_MAX_SLOTS if its rule has no such slot. */
static int find_state(const eden_loading *l, const char *name, size_t *i, size_t *s)
{
    char tensor[EDEN_MAX_NAME + 1];
    const char *at = strrchr(name, '@');
    if (!at || (size_t)(at - name) >= sizeof tensor) return 0;
    memcpy(tensor, name, (size_t)(at - name));
    tensor[at - name] = 0;
    *i = eden_find_tensor(l->o, tensor);
    if (*i == SIZE_MAX) return 0;
    const eden_rule *rule = l->o->groups[l->o->tensors[*i].group].rule;
    for (*s = 0; *s < rule->slot_count; ++*s)
        if (strcmp(rule->slots[*s].name, at + 1) == 0) return 1;
    *s = EDEN_MAX_SLOTS;
    return 1;
}

/* Is it state of a tensor that the file has? */
static int is_state(const eden_loading *l, const char *name)
{
    char tensor[EDEN_MAX_NAME + 1];
    const char *at = strrchr(name, '@');
    if (!(l->holds & EDEN_OPTIM) || !at || (size_t)(at - name) >= sizeof tensor) return 0;
    memcpy(tensor, name, (size_t)(at - name));
    tensor[at - name] = 0;
    return eden_holds_weights(l, tensor);
}

static void look_at_entry(eden_loading *l, const char *name, int with_state)
{
    size_t i, s;
    if (l->holds & EDEN_WEIGHTS && eden_holds_weights(l, name)) {
        if (eden_find_tensor(l->o, name) == SIZE_MAX && l->parts & EDEN_WEIGHTS)
            eden_differ(l, "the file's tensor '%.60s' is not here", name);
    } else if (!is_state(l, name)) {
        eden_differ(l, "the file's entry '%.60s' belongs to no tensor", name);
    } else if (with_state && find_state(l, name, &i, &s) && !l->other[l->o->tensors[i].group] &&
               (s == EDEN_MAX_SLOTS || !expected(l, i, s))) {
        eden_differ(l, "state '%.40s' of '%.60s' is in the file and not used here",
                    strrchr(name, '@') + 1, l->o->tensors[i].name);
    }
}

eden_status eden_compare_entries(eden_loading *l, int with_state, eden_error *error)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < l->next.tensor_count && !status; i++) {
        status = compare_weights(l, &l->next.tensors[i], error);
        if (!status && with_state) status = compare_state(l, i, error);
    }
    for (size_t i = 0; i < eden_file_count(l->file) && !status; i++) {
        status = eden_file_at(l->file, i, &t, error);
        if (!status) look_at_entry(l, t.name, with_state);
    }
    return status;
}

/* ---- reading ---------------------------------------------------------------------------- */

static eden_status read_state(eden_loading *l, const eden_entry *entry, eden_error *error)
{
    const eden_rule *rule = l->next.groups[entry->group].rule;
    char name[EDEN_KEY_ROOM];
    eden_status status = EDEN_OK;
    for (size_t s = 0; s < rule->slot_count && !status; s++)
        if (entry->state[s] && eden_join(name, entry->name, "@", rule->slots[s].name, ""))
            status = eden_file_read(l->file, eden_file_find(l->file, name), entry->state[s],
                                    entry->length[s] * sizeof(float), error);
    return status;
}

eden_status eden_read_entries(eden_loading *l, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < l->next.tensor_count && !status; i++) {
        const eden_entry *entry = &l->next.tensors[i];
        if (l->parts & EDEN_OPTIM) status = read_state(l, entry, error);
        if (status || !(l->parts & EDEN_WEIGHTS)) continue;
        l->weights[i] = eden_alloc(entry->extent.count, sizeof(float));
        if (!l->weights[i])
            return eden_fail(error, EDEN_E_MEMORY, "no memory for the weights of '%s'", entry->name);
        status = eden_file_read(l->file, eden_file_find(l->file, entry->name), l->weights[i],
                                entry->extent.count * sizeof(float), error);
    }
    return status;
}
