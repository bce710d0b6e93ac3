/* memory.c - the memory of state, and memory that must not overlap. */
#include <stdlib.h>

#include "optimizer/plan.h"
#include "optimizer/text.h"

/* ---- state --------------------------------------------------------------------------- */

/* Arrays that do not exist yet and should, in the order that eden_settle_state() takes
 * them. On failure all are freed. */
int eden_allocate_state(const eden_optimizer *o, float ***fresh, size_t *count)
{
    size_t n = 0, have = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < o->tensor_count; i++) {
            const eden_entry *entry = &o->tensors[i];
            const eden_group *group = &o->groups[entry->group];
            for (size_t s = 0; s < group->rule->slot_count; s++) {
                const uint64_t length = eden_slot_length(group->rule, s, group->struc, entry);
                if (!length || (entry->state[s] && entry->length[s] == length)) continue;
                if (pass == 0) {
                    n++;
                } else if (((*fresh)[have] = eden_alloc(length, sizeof(float)))) {
                    have++;
                } else {
                    while (have > 0) free((*fresh)[--have]);
                    free(*fresh);
                    return 0;
                }
            }
        }
        if (pass == 0 && !(*fresh = eden_alloc(n, sizeof **fresh))) return 0;
    }
    *count = n;
    return 1;
}

/* Put new arrays in place and free those that settings no longer ask for. */
void eden_settle_state(eden_optimizer *o, float **fresh)
{
    size_t next = 0;
    for (size_t i = 0; i < o->tensor_count; i++) {
        eden_entry *entry = &o->tensors[i];
        const eden_group *group = &o->groups[entry->group];
        for (size_t s = 0; s < EDEN_MAX_SLOTS; s++) {
            const uint64_t length = eden_slot_length(group->rule, s, group->struc, entry);
            if (entry->state[s] && entry->length[s] == length) continue;
            free(entry->state[s]);
            entry->state[s] = length ? fresh[next++] : NULL;
            entry->length[s] = length;
        }
    }
}

/* ---- memory that must not overlap -------------------------------------------------------- */

typedef struct {
    uintptr_t begin, end;
    size_t entry;
    int is_data;
} span;

static int by_begin(const void *a, const void *b)
{
    const span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static size_t add_span(span *spans, size_t n, const eden_entry *entry, size_t i, const void *at,
                       int is_data)
{
    if (!at || !entry->extent.count) return n;
    const uintptr_t begin = (uintptr_t)at;
    spans[n] = (span){ begin, begin + (size_t)entry->extent.count * sizeof(float), i, is_data };
    return n + 1;
}

/* Weights may overlap nothing; gradients, which are only read, may share. */
eden_status eden_check_overlaps(const eden_optimizer *o, eden_error *error)
{
    span *spans = eden_alloc((uint64_t)o->tensor_count * 2, sizeof *spans);
    if (!spans) return eden_fail(error, EDEN_E_MEMORY, "no memory to check the tensors");
    size_t n = 0;
    for (size_t i = 0; i < o->tensor_count; i++) {
        n = add_span(spans, n, &o->tensors[i], i, o->tensors[i].tensor.data, 1);
        n = add_span(spans, n, &o->tensors[i], i, o->tensors[i].tensor.grad, 0);
    }
    qsort(spans, n, sizeof *spans, by_begin);
    const span *any = NULL, *data = NULL; /* those that reach furthest so far */
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < n && !status; k++) {
        const span *s = &spans[k], *other = s->is_data ? any : data;
        if (other && s->begin < other->end)
            status = eden_fail(error, EDEN_E_ARGUMENT, "the %s of '%s' and the %s of '%s' overlap; "
                               "weights need memory of their own", other->is_data ? "weights" : "gradient",
                               o->tensors[other->entry].name, s->is_data ? "weights" : "gradient",
                               o->tensors[s->entry].name);
        if (!any || s->end > any->end) any = s;
        if (s->is_data && (!data || s->end > data->end)) data = s;
    }
    free(spans);
    return status;
}
