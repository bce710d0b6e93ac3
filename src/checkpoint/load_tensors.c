/* load_tensors.c - the entries of a checkpoint, by name. */
#include "checkpoint/checkpoint.h"

#include "checkpoint/file.h"

#include <stdio.h>
#include <string.h>

/* ---- comparing ------------------------------------------------------------------- */

/* A product below 2^64 of at most 8 numbers has room. */
static const char *show_shape(uint32_t ndim, const uint64_t *shape, char text[80])
{
    size_t used = (size_t)snprintf(text, 80, "[");
    for (uint32_t d = 0; d < ndim; d++)
        used += (size_t)snprintf(text + used, 80 - used, "%s%llu", d ? ", " : "",
                                 (unsigned long long)shape[d]);
    snprintf(text + used, 80 - used, "]");
    return text;
}

/* Compare one entry, which has to be there if it is `wanted`. */
static void compare(eden_loading *l, const char *name, const char *what, const char *dtype,
                    uint32_t ndim, const uint64_t *shape, int wanted)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    char there[80], here[80];
    const size_t i = eden_file_find(l->file, name);
    if (i == SIZE_MAX) {
        if (wanted) eden_differ(l, "%s is not in the file", what);
        return;
    }
    eden_file_at(l->file, i, &t, NULL);
    if (strcmp(t.dtype, dtype) != 0)
        eden_differ(l, "%s is %.10s in the file and %s here", what, t.dtype, dtype);
    else if (t.ndim != ndim || memcmp(t.shape, shape, ndim * sizeof *shape) != 0)
        eden_differ(l, "%s is %s in the file and %s here", what, show_shape(t.ndim, t.shape, there),
                    show_shape(ndim, shape, here));
}

/* The file's dtype where it may be another one, else what it has to be. */
static const char *dtype_wanted(const eden_loading *l, const eden_entry *entry)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    const size_t i = eden_file_find(l->file, entry->name);
    if (i != SIZE_MAX) eden_file_at(l->file, i, &t, NULL);
    return i != SIZE_MAX && eden_converts(l, t.dtype) ? t.dtype : eden_weights_dtype(&entry->tensor);
}

static void compare_weights(eden_loading *l, const eden_entry *entry)
{
    char what[280];
    const int wanted = (l->parts & EDEN_WEIGHTS) != 0;
    if (!(l->holds & EDEN_WEIGHTS)) return; /* such an entry is state */
    snprintf(what, sizeof what, "tensor '%.255s'", entry->name);
    if (eden_holds_weights(l, entry->name))
        compare(l, entry->name, what, dtype_wanted(l, entry), entry->tensor.ndim, entry->tensor.shape, wanted);
    else if (wanted)
        eden_differ(l, "%s is not in the file", what);
}

/* What array k of tensor i will be, of all ranks together; empty if there will be none. */
static eden_array expected(const eden_loading *l, size_t i, size_t k)
{
    eden_entry whole = l->next.tensors[i];
    const eden_group *group = &l->next.groups[whole.group];
    const eden_array none = { NULL, 0, EDEN_CODEC_F32, 0 };
    whole.first = 0, whole.last = whole.extent.count;
    return l->other[whole.group] ? none : eden_array_wanted(group->rule, group->struc, &whole, k);
}

static void compare_array(eden_loading *l, const eden_entry *entry, size_t k, const eden_array *array)
{
    const eden_rule *rule = l->next.groups[entry->group].rule;
    const eden_tensor *t = &entry->tensor;
    const int full = eden_array_is_full(rule, k);
    const uint64_t scales = eden_array_scales(array);
    char name[EDEN_KEY_ROOM], what[340];
    snprintf(what, sizeof what, "state '%.40s' of '%.255s'", eden_array_name(rule, k), entry->name);
    eden_array_key(name, entry->name, rule, k, 0);
    compare(l, name, what, eden_array_dtype(t, k, array), full ? t->ndim : 1, full ? t->shape : &array->count, 1);
    if (!scales) return;
    snprintf(what, sizeof what, "the scale of '%.40s' of '%.255s'", eden_array_name(rule, k), entry->name);
    eden_array_key(name, entry->name, rule, k, 1);
    compare(l, name, what, "F32", 1, &scales, 1);
}

static void compare_state(eden_loading *l, size_t i)
{
    const eden_entry *entry = &l->next.tensors[i];
    if (!eden_holds_weights(l, entry->name)) return; /* the file has no such tensor */
    for (size_t k = 0; k < EDEN_ARRAYS; k++) {
        const eden_array array = expected(l, i, k);
        if (array.count) compare_array(l, entry, k, &array);
    }
}

/* ---- entries that nobody expects ------------------------------------------------------ */

/* The last '@' of NAME@SLOT or NAME@SLOT@scale that ends NAME, or NULL. */
static const char *end_of_name(const char *name)
{
    const char *at = strrchr(name, '@');
    if (!at || strcmp(at, "@scale") != 0) return at;
    while (at > name && at[-1] != '@') at--;
    return at > name ? at - 1 : NULL;
}

/* The tensor that NAME@SLOT speaks of; 0 if it is too long or speaks of none. */
static int tensor_of(const char *name, char tensor[EDEN_MAX_NAME + 1])
{
    const char *at = end_of_name(name);
    if (!at || at - name > EDEN_MAX_NAME) return 0;
    memcpy(tensor, name, (size_t)(at - name));
    tensor[at - name] = 0;
    return 1;
}

/* The tensor and the array that NAME@SLOT, which is_state(), speaks of; 0 if there is no
 * such tensor here. *k is EDEN_ARRAYS if it can have no such array. */
static int find_state(const eden_loading *l, const char *name, size_t *i, size_t *k)
{
    char tensor[EDEN_MAX_NAME + 1], key[EDEN_KEY_ROOM];
    tensor_of(name, tensor);
    *i = eden_find_tensor(l->o, tensor);
    if (*i == SIZE_MAX) return 0;
    const eden_rule *rule = l->o->groups[l->o->tensors[*i].group].rule;
    for (*k = 0; *k < EDEN_ARRAYS; ++*k)
        for (int scale = 0; scale < 2 && eden_array_name(rule, *k); scale++) {
            eden_array_key(key, tensor, rule, *k, scale);
            if (strcmp(key, name) != 0) continue;
            if (scale && !eden_array_scales(&(eden_array){ NULL, 1, expected(l, *i, *k).codec, 0 })) *k = EDEN_ARRAYS;
            return 1;
        }
    return 1;
}

/* Is it state of a tensor that the file has? */
static int is_state(const eden_loading *l, const char *name)
{
    char tensor[EDEN_MAX_NAME + 1];
    return tensor_of(name, tensor) && eden_holds_weights(l, tensor);
}

static void look_at_entry(eden_loading *l, const char *name, int with_state)
{
    size_t i, k;
    if (l->holds & EDEN_WEIGHTS && eden_holds_weights(l, name)) {
        if (eden_find_tensor(l->o, name) == SIZE_MAX && l->parts & EDEN_WEIGHTS)
            eden_extra(l, "the file's tensor '%.255s' is not here", name);
    } else if (!is_state(l, name)) {
        eden_extra(l, "the file's entry '%.255s' belongs to no tensor", name);
    } else if (with_state && find_state(l, name, &i, &k) && !l->other[l->o->tensors[i].group] &&
               !l->left[i] && (k == EDEN_ARRAYS || !expected(l, i, k).count)) {
        const eden_mark mark = eden_mark_of(l);
        eden_differ(l, "state '%.40s' of '%.255s' is in the file and not used here",
                    end_of_name(name) + 1, l->o->tensors[i].name);
        eden_leaves_out(l, i, mark, 0);
    }
}

eden_status eden_check_entries(const eden_loading *l, eden_error *error)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    for (size_t i = 0; i < eden_file_count(l->file); i++) {
        const eden_status status = eden_file_at(l->file, i, &t, error);
        if (status) return status;
    }
    return EDEN_OK;
}

void eden_compare_entries(eden_loading *l, int with_state)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    for (size_t i = 0; i < l->next.tensor_count; i++) {
        const eden_mark mark = eden_mark_of(l);
        const char *name = l->next.tensors[i].name;
        if (l->left[i]) continue;
        compare_weights(l, &l->next.tensors[i]);
        if (with_state) compare_state(l, i);
        eden_leaves_out(l, i, mark, eden_file_find(l->file, name) == SIZE_MAX);
    }
    for (size_t i = 0; i < eden_file_count(l->file); i++) {
        eden_file_at(l->file, i, &t, NULL);
        look_at_entry(l, t.name, with_state);
    }
}

/* ---- reading ---------------------------------------------------------------------------- */

static eden_status read_array(eden_loading *l, const eden_entry *entry, size_t k, eden_error *error)
{
    const eden_rule *rule = l->next.groups[entry->group].rule;
    const eden_array *array = &entry->array[k];
    char name[EDEN_KEY_ROOM];
    eden_array_key(name, entry->name, rule, k, 0);
    const uint64_t first = eden_array_is_full(rule, k) ? entry->first : 0;
    const eden_status status =
        eden_file_read_range(l->file, eden_file_find(l->file, name), eden_codec_bytes(array->codec, first),
                             eden_codec_bytes(array->codec, array->count), array->data, error);
    if (status || !eden_array_scales(array)) return status;
    eden_array_key(name, entry->name, rule, k, 1);
    return eden_file_read_range(l->file, eden_file_find(l->file, name), first / EDEN_BLOCK * sizeof(float),
                                eden_array_scales(array) * sizeof(float), eden_array_scale(array), error);
}

/* A tensor that is left out keeps the state it has. */
static void keep_state(eden_loading *l, size_t i)
{
    for (size_t k = 0; k < EDEN_ARRAYS && l->parts & EDEN_OPTIM; k++) {
        const eden_array *from = &l->o->tensors[i].array[k];
        eden_array *to = &l->next.tensors[i].array[k];
        if (eden_arrays_alike(from, to))
            memcpy(to->data, from->data, (size_t)eden_array_bytes(to));
    }
}

eden_status eden_read_entries(eden_loading *l, eden_error *error)
{
    eden_status status = EDEN_OK;
    for (size_t i = 0; i < l->next.tensor_count && !status; i++) {
        const eden_entry *entry = &l->next.tensors[i];
        if (l->left[i]) {
            keep_state(l, i);
            continue;
        }
        for (size_t k = 0; k < EDEN_ARRAYS && l->parts & EDEN_OPTIM && !status; k++)
            if (entry->array[k].data) status = read_array(l, entry, k, error);
        if (!status && l->parts & EDEN_WEIGHTS) status = eden_read_weights(l, i, error);
    }
    return status;
}
