/* memory.c - the memory of state, and memory that must not overlap. */
#include <stdlib.h>
#include <string.h>

#include "optimizer/plan.h"
#include "optimizer/text.h"

/* ---- state --------------------------------------------------------------------------- */

/* Is the array there as it should be? */
static int settled(const eden_array *array, const eden_array *wanted)
{
    if (!wanted->count) return 1;
    return array->data && array->count == wanted->count && array->codec == wanted->codec;
}

static eden_array wanted(const eden_optimizer *o, size_t i, size_t k)
{
    const eden_group *group = &o->groups[o->tensors[i].group];
    return eden_array_wanted(group->rule, group->struc, &o->tensors[i], k);
}

int eden_allocate_state(const eden_optimizer *o, eden_array **fresh, size_t *count)
{
    size_t n = 0;
    for (size_t i = 0; i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) {
            const eden_array array = wanted(o, i, k);
            n += !settled(&o->tensors[i].array[k], &array);
        }
    *fresh = eden_alloc(n, sizeof **fresh);
    *count = 0;
    if (!*fresh) return 0;
    for (size_t i = 0; i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) {
            eden_array array = wanted(o, i, k);
            if (settled(&o->tensors[i].array[k], &array)) continue;
            if (!eden_array_allocate(&array)) {
                while (*count > 0) free((*fresh)[--*count].data);
                free(*fresh);
                return 0;
            }
            (*fresh)[(*count)++] = array;
        }
    return 1;
}

/* Float32 weights, of those that are here, begin as what the model has. */
static void fill_master(const eden_optimizer *o, const eden_entry *entry, real *master)
{
    const eden_codec *codec = &eden_codecs[o->isa][eden_codec_of(entry->tensor.dtype, 0)];
    const uint16_t *from = (const uint16_t *)entry->tensor.data + entry->first;
    const size_t n = (size_t)(entry->last - entry->first);
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        codec->load(from + i, NULL, master + i, n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

void eden_weights_changed(const eden_optimizer *o, eden_entry *entry)
{
    const eden_array *lost = &entry->array[EDEN_ARRAY_LOST];
    if (lost->data) memset(lost->data, 0, (size_t)eden_array_bytes(lost));
    if (entry->array[EDEN_ARRAY_MASTER].data) fill_master(o, entry, entry->array[EDEN_ARRAY_MASTER].data);
}

void eden_write_copy(const eden_optimizer *o, const eden_entry *entry)
{
    const eden_tensor *t = &entry->tensor;
    const size_t n = (size_t)entry->extent.count;
    const unsigned from = eden_codec_of(t->dtype, 0);
    const eden_codec *to = &eden_codecs[o->isa][eden_codec_of(t->copy_dtype, 0)];
    uint16_t *lost = t->rounding == EDEN_SPLIT ? entry->array[EDEN_ARRAY_LOST].data : NULL;
    real block[EDEN_BLOCK];
    for (size_t i = 0; t->copy && i < n; i += EDEN_BLOCK) {
        const size_t m = n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK;
        char *weights = (char *)t->data + eden_codec_bytes(from, i);
        if (lost && i >= entry->first && i < entry->last) /* other ranks have the others' */
            eden_weights_codecs[o->isa]->load_split((uint16_t *)(void *)weights, lost + (i - entry->first), block, m);
        else
            eden_codecs[o->isa][from].load(weights, NULL, block, m);
        to->store(block, (uint16_t *)t->copy + i, NULL, m);
    }
}

void eden_settle_state(eden_optimizer *o, const eden_array *fresh)
{
    for (size_t i = 0; i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) {
            eden_array *array = &o->tensors[i].array[k];
            const eden_array want = wanted(o, i, k);
            if (want.count && settled(array, &want)) continue;
            eden_array_free(array);
            *array = want;
            if (!want.count) continue;
            *array = *fresh++;
            if (k == EDEN_ARRAY_MASTER) fill_master(o, &o->tensors[i], array->data);
        }
}

/* ---- storage that rules cannot have ------------------------------------------------------ */

static int has_pass(const eden_rule *rule, const double *hypers, eden_extent extent, uint32_t program)
{
    const uint32_t on = rule->passes_on(hypers, extent);
    for (size_t p = 0; p < rule->pass_count; p++)
        if ((on >> p & 1) && rule->passes[p].program == program) return 1;
    return 0;
}

/* Scales are for 256 elements in a row of memory, which panels of whole rows cut. */
static int is_factored(const eden_rule *rule, const double *hypers, eden_extent extent)
{
    const uint32_t on = rule->slots_on(hypers, extent);
    for (size_t s = 0; s < rule->slot_count; s++)
        if ((on >> s & 1) && rule->slots[s].shape != EDEN_FULL && rule->slots[s].shape != EDEN_ONE) return 1;
    return 0;
}

eden_status eden_check_storage(const eden_optimizer *o, eden_error *error)
{
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_entry *entry = &o->tensors[i];
        const eden_group *group = &o->groups[entry->group];
        const eden_tensor *t = &entry->tensor;
        if (t->flags & EDEN_FROZEN) continue;
        if (t->state_dtype == EDEN_Q8 && is_factored(group->rule, group->struc, entry->extent))
            return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': %s factors this matrix, and then state "
                             "cannot be EDEN_Q8; use EDEN_BF16", entry->name, group->rule->name);
        if (t->dtype != EDEN_F32 && t->rounding != EDEN_MASTER && t->rounding != EDEN_SPLIT &&
            has_pass(group->rule, group->struc, entry->extent, EDEN_BEFORE))
            return eden_fail(error, EDEN_E_DTYPE, "tensor '%s': lookahead = 1 goes there and back, which "
                             "wants EDEN_F32, EDEN_MASTER or EDEN_SPLIT", entry->name);
    }
    return EDEN_OK;
}

/* ---- memory that must not overlap -------------------------------------------------------- */

typedef struct eden_span {
    uintptr_t begin, end;
    size_t entry;
    const char *what;
    const char *slot;   /* whose state it is, or "" */
    int is_data;        /* written by steps */
} span;

static int by_begin(const void *a, const void *b)
{
    const span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static size_t add_span(span *spans, size_t n, const eden_entry *entry, size_t i, const void *at,
                       uint32_t dtype, const char *what, int is_data)
{
    if (!at || !entry->extent.count) return n;
    const uintptr_t begin = (uintptr_t)at;
    const uint64_t bytes = eden_codec_bytes(eden_codec_of(dtype, 0), entry->extent.count);
    spans[n] = (span){ begin, begin + (uintptr_t)bytes, i, what, "", is_data };
    return n + 1;
}

static size_t lent_arrays(const eden_optimizer *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->tensor_count; i++)
        for (size_t k = 0; k < EDEN_ARRAYS; k++) n += o->tensors[i].array[k].lent;
    return n;
}

/* State in the caller's memory that is still used there. */
static size_t add_lent(span *spans, size_t n, const eden_optimizer *o, size_t i)
{
    const eden_entry *entry = &o->tensors[i];
    for (size_t k = 0; k < EDEN_ARRAYS; k++) {
        const eden_array *array = &entry->array[k], want = wanted(o, i, k);
        const uintptr_t begin = (uintptr_t)array->data;
        if (!array->lent || !want.count || !settled(array, &want)) continue;
        spans[n++] = (span){ begin, begin + (uintptr_t)eden_array_bytes(array), i, "state ",
                             eden_array_name(o->groups[entry->group].rule, k), 1 };
    }
    return n;
}

static eden_status overlap(const eden_optimizer *o, const span *a, const span *b, eden_error *error)
{
    return eden_fail(error, EDEN_E_ARGUMENT, "the %s%s of '%s' and the %s%s of '%s' overlap; weights, copies and "
                     "state need memory of their own", a->what, a->slot, o->tensors[a->entry].name,
                     b->what, b->slot, o->tensors[b->entry].name);
}

eden_status eden_check_overlaps(const eden_optimizer *o, span **written, size_t *count, eden_error *error)
{
    span *spans = eden_alloc((uint64_t)o->tensor_count * 3 + lent_arrays(o), sizeof *spans);
    if (!spans) return eden_fail(error, EDEN_E_MEMORY, "no memory to check the tensors");
    size_t n = 0;
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_tensor *t = &o->tensors[i].tensor;
        n = add_span(spans, n, &o->tensors[i], i, t->data, t->dtype, "weights", 1);
        n = add_span(spans, n, &o->tensors[i], i, t->copy, t->copy_dtype, "copy", 1);
        n = add_span(spans, n, &o->tensors[i], i, t->grad, t->grad_dtype, "gradient", 0);
        n = add_lent(spans, n, o, i);
    }
    qsort(spans, n, sizeof *spans, by_begin);
    const span *any = NULL, *data = NULL; /* those that reach furthest so far */
    eden_status status = EDEN_OK;
    for (size_t k = 0; k < n && !status; k++) {
        const span *s = &spans[k], *other = s->is_data ? any : data;
        if (other && s->begin < other->end)
            status = overlap(o, other, s, error);
        if (!any || s->end > any->end) any = s;
        if (s->is_data && (!data || s->end > data->end)) data = s;
    }
    *count = 0, *written = spans;
    for (size_t k = 0; k < n; k++)
        if (spans[k].is_data) spans[(*count)++] = spans[k];
    if (!status) return EDEN_OK;
    free(spans);
    *written = NULL;
    return status;
}

eden_status eden_check_gradients(const eden_optimizer *o, eden_error *error)
{
    const span *written = o->plan->written;
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_tensor *t = &o->tensors[i].tensor;
        span g;
        if (!add_span(&g, 0, &o->tensors[i], i, t->grad, t->grad_dtype, "gradient", 0)) continue;
        size_t low = 0, high = o->plan->written_count; /* the first that ends behind its begin */
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (written[middle].end > g.begin) high = middle;
            else low = middle + 1;
        }
        if (low == o->plan->written_count || written[low].begin >= g.end) continue;
        return g.begin < written[low].begin ? overlap(o, &g, &written[low], error)
                                            : overlap(o, &written[low], &g, error);
    }
    return EDEN_OK;
}
