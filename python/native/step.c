/* step.c - one step of many tensors in one call, for bindings that keep everything else.
 *
 * A binding whose tensors are another library's (PyTorch's) has weights, gradients,
 * state and counts there, and only pointers to them are brought here before each step.
 * What did not move since the last step costs a comparison. */
#include "native/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 16 };

typedef struct {
    const char *name;   /* the optimizer's                                      */
    eden_extent extent;
    size_t group;
    float count;        /* what its counter said after the last step            */
} member;

struct eden_batch {
    eden_optimizer *optimizer;
    const eden_rule *rule;
    size_t members, groups, hypers, slots;
    member *member;
    void **data, **grads, **state; /* where they were at the last step          */
    double *values;                /* groups x hypers, as the optimizer has them */
    const char **group;
    const char **slot;             /* names; NULL where the rule's slot is no state */
    unsigned char *has;            /* members x slots: state that exists under `held` */
    double *held;                  /* groups x hypers, NaN before the first step    */
    float *few;                    /* members x FEW masters, and what they round to */
    uint16_t *rounded;
};

void eden_batch_destroy(eden_batch *b)
{
    if (!b) return;
    for (size_t i = 0; b->group && i < b->groups; i++) free((void *)(uintptr_t)b->group[i]);
    free(b->member);
    free(b->data);
    free(b->grads);
    free(b->state);
    free(b->values);
    free(b->group);
    free(b->slot);
    free(b->has);
    free(b->held);
    free(b->few);
    free(b->rounded);
    free(b);
}

static char *copy(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *to = malloc(bytes);
    return to ? memcpy(to, text, bytes) : NULL;
}

static int make_room(eden_batch *b)
{
    const size_t n = b->members ? b->members : 1, g = b->groups ? b->groups : 1;
    b->member = calloc(n, sizeof *b->member);
    b->data = calloc(n, sizeof *b->data);
    b->grads = calloc(n, sizeof *b->grads);
    b->state = calloc(n * b->slots, sizeof *b->state);
    b->values = calloc(g * (b->hypers ? b->hypers : 1), sizeof *b->values);
    b->group = calloc(g, sizeof *b->group);
    b->slot = calloc(b->slots, sizeof *b->slot);
    b->has = calloc(n * b->slots, sizeof *b->has);
    b->held = calloc(g * (b->hypers ? b->hypers : 1), sizeof *b->held);
    return b->has && b->held && b->member && b->data && b->grads && b->state && b->values && b->group && b->slot;
}

static size_t count_slots(const eden_rule *rule)
{
    size_t n = 0;
    while (eden_rule_slot(rule, n)) n++;
    return n;
}

static size_t count_hypers(const eden_rule *rule)
{
    size_t n = 0;
    while (eden_rule_hyper(rule, n)) n++;
    return n;
}

size_t eden_batch_slots(const eden_rule *rule) { return count_slots(rule) + 2; }

eden_status eden_batch_create(eden_batch **out, eden_optimizer *optimizer, size_t groups,
                              const char *const *names, const size_t *group_of,
                              const eden_extent *extents)
{
    const eden_rule *rule = eden_group_rule(optimizer, NULL);
    *out = NULL;
    if (!rule) return EDEN_E_ARGUMENT;
    eden_batch *b = calloc(1, sizeof *b);
    if (!b) return EDEN_E_MEMORY;
    *b = (eden_batch){ .optimizer = optimizer, .rule = rule, .groups = groups,
                       .members = eden_tensor_count(optimizer), .hypers = count_hypers(rule),
                       .slots = eden_batch_slots(rule) };
    int kept = make_room(b);
    for (size_t g = 0; kept && g < groups; g++) kept = (b->group[g] = copy(names[g])) != NULL;
    if (!kept) {
        eden_batch_destroy(b);
        return EDEN_E_MEMORY;
    }
    for (size_t s = 0; s + 2 < b->slots; s++)
        if (eden_rule_slot(rule, s)->kind == EDEN_STATE) b->slot[s] = eden_rule_slot(rule, s)->name;
    b->slot[b->slots - 2] = "master";
    b->slot[b->slots - 1] = "lost";
    for (size_t i = 0; i < b->members; i++)
        b->member[i] = (member){ eden_tensor_name(optimizer, i), extents[i], group_of[i], 0 };
    /* NaN is what no setting is: the first step sets them all. */
    for (size_t k = 0; k < groups * b->hypers; k++) b->values[k] = b->held[k] = __builtin_nan("");
    *out = b;
    return EDEN_OK;
}

/* ---- before the step --------------------------------------------------------------- */

static eden_status set_values(eden_batch *b, const double *values, eden_error *error)
{
    for (size_t g = 0; g < b->groups; g++)
        for (size_t h = 0; h < b->hypers; h++) {
            const size_t k = g * b->hypers + h;
            if (b->values[k] == values[k]) continue;
            const eden_status status = eden_set(b->optimizer, b->group[g],
                                                eden_rule_hyper(b->rule, h)->name, values[k], error);
            if (status) return status;
            b->values[k] = values[k];
        }
    return EDEN_OK;
}

/* Where the state of slot k is in the step's columns, or its `columns` if it is in none. */
static size_t column_of(const eden_batch_step *s, size_t k)
{
    size_t c = 0;
    while (c < s->columns && s->column[c] != k) c++;
    return c;
}

/* What state exists is asked only where values differ: it is a question a slot and a member. */
static void look_at_values(eden_batch *b, const double *values)
{
    const size_t count = b->groups * b->hypers;
    size_t k = 0;
    while (k < count && b->held[k] == values[k]) k++;
    if (k == count) return;
    memcpy(b->held, values, count * sizeof *values);
    for (size_t i = 0; i < b->members; i++)
        for (size_t s = 0; s + 2 < b->slots; s++)
            b->has[i * b->slots + s] =
                eden_rule_slot_length(b->rule, s, values + b->member[i].group * b->hypers, b->member[i].extent) != 0;
}

/* Does every member that takes part bring just the state that its rule has under these
 * settings? */
static int brings_state(eden_batch *b, const eden_batch_step *s)
{
    look_at_values(b, s->values);
    for (size_t k = 0; k + 2 < b->slots; k++) {
        const size_t c = column_of(s, k);
        for (size_t i = 0; b->slot[k] && i < b->members; i++) {
            if (!s->grads[i]) continue;
            const int there = c < s->columns && s->state[i * s->columns + c] != NULL;
            if (there != b->has[i * b->slots + k]) return 0;
        }
    }
    return 1;
}

static eden_status bind_state(eden_batch *b, size_t i, const eden_batch_step *s, eden_error *error)
{
    /* Where state is no more, the library lets its memory go, and the same may come back. */
    for (size_t k = 0; k < b->slots; k++)
        if (column_of(s, k) == s->columns) b->state[i * b->slots + k] = NULL;
    for (size_t c = 0; c < s->columns; c++) {
        void *at = s->state[i * s->columns + c], **was = &b->state[i * b->slots + s->column[c]];
        const char *slot = b->slot[s->column[c]];
        eden_layout layout = EDEN_LAYOUT_INIT;
        if (*was == at) continue;
        eden_status status = eden_state_layout(b->optimizer, b->member[i].name, slot, &layout, error);
        /* Memory of state that is no more may be gone: it is left, and not taken back. */
        if (!status && at && layout.count)
            status = eden_set_state(b->optimizer, b->member[i].name, slot, at, layout.bytes, error);
        if (status) return status;
        *was = at;
    }
    return EDEN_OK;
}

static eden_status bad_count(const char *name, float count, eden_error *error)
{
    error->status = EDEN_E_VALUE;
    snprintf(error->text, sizeof error->text, "parameter '%s': its state says step = %g, which is no count of steps: "
             "a whole number, at least 0, is needed", name, (double)count);
    return EDEN_E_VALUE;
}

static eden_status bind(eden_batch *b, size_t i, const eden_batch_step *s, eden_error *error)
{
    member *m = &b->member[i];
    eden_status status = EDEN_OK;
    if (b->data[i] != s->data[i]) {
        status = eden_set_data(b->optimizer, m->name, s->data[i], error);
        if (status) return status;
        b->data[i] = s->data[i];
    }
    if (b->grads[i] != s->grads[i]) {
        status = eden_set_grad(b->optimizer, m->name, s->grads[i], error);
        if (status) return status;
        b->grads[i] = s->grads[i];
    }
    /* Without a gradient as well: where state was before, there may be other memory now. */
    status = bind_state(b, i, s, error);
    const float count = *s->counts[i];
    if (!status && s->grads[i] && count != m->count) {
        if (!(count >= 0 && count < 0x1p63f && count == (float)(uint64_t)count)) return bad_count(m->name, count, error);
        status = eden_set_tensor_steps(b->optimizer, m->name, (uint64_t)count, error);
        m->count = count;
    }
    return status;
}

static eden_status bind_all(eden_batch *b, const eden_batch_step *s, eden_error *error)
{
    if (!brings_state(b, s)) return EDEN_E_ORDER;
    eden_status status = set_values(b, s->values, error);
    for (size_t i = 0; !status && i < b->members; i++) status = bind(b, i, s, error);
    return status;
}

eden_status eden_batch_look_ahead(eden_batch *b, const eden_batch_step *s, eden_error *error)
{
    const eden_status status = bind_all(b, s, error);
    return status ? status : eden_lookahead_begin(b->optimizer, error);
}

eden_status eden_batch_take_step(eden_batch *b, const eden_batch_step *s, int *applied, eden_error *error)
{
    *applied = 0;
    eden_status status = bind_all(b, s, error);
    const uint64_t skipped = eden_skipped(b->optimizer);
    if (!status) status = eden_step(b->optimizer, error);
    if (status || eden_skipped(b->optimizer) != skipped) return status;
    for (size_t i = 0; i < b->members; i++)
        if (s->grads[i]) b->member[i].count = *s->counts[i] += 1;
    *applied = 1;
    return EDEN_OK;
}

/* ---- weights that others wrote ----------------------------------------------------- */

/* Where the few of member i are that this turn looks at, and how many. */
static uint64_t few_of(const eden_batch *b, size_t i, uint64_t turn, uint64_t *n)
{
    const uint64_t count = b->member[i].extent.count;
    *n = count < FEW ? count : FEW;
    const uint64_t next = count ? turn * FEW % count : 0;
    return next < count - *n ? next : count - *n;
}

/* Converted all at once: a call has a price of its own. */
static size_t astray_of(const eden_batch *b, const eden_batch_step *s, const uint32_t *dtypes, uint32_t dtype,
                        uint64_t turn, size_t column)
{
    uint64_t n, used = 0;
    for (size_t i = 0; i < b->members; i++) {
        const float *master = s->state[i * s->columns + column];
        const uint64_t at = few_of(b, i, turn, &n);
        if (!master || dtypes[i] != dtype) continue;
        memcpy(b->few + used, master + at, n * sizeof *master);
        used += n;
    }
    if (!used || eden_convert(b->rounded, dtype, b->few, EDEN_F32, used)) return b->members;
    const uint16_t *rounded = b->rounded;
    for (size_t i = 0; i < b->members; i++) {
        const uint64_t at = few_of(b, i, turn, &n);
        if (!s->state[i * s->columns + column] || dtypes[i] != dtype) continue;
        if (memcmp(rounded, (const uint16_t *)s->data[i] + at, n * sizeof *rounded) != 0) return i;
        rounded += n;
    }
    return b->members;
}

size_t eden_batch_astray(eden_batch *b, const eden_batch_step *s, const uint32_t *dtypes, uint64_t turn)
{
    const size_t column = column_of(s, b->slots - 2), room = b->members * FEW;
    if (column == s->columns || !room) return b->members;
    if (!b->few) b->few = calloc(room, sizeof *b->few);
    if (!b->rounded) b->rounded = calloc(room, sizeof *b->rounded);
    if (!b->few || !b->rounded) return b->members;
    const size_t first = astray_of(b, s, dtypes, EDEN_BF16, turn, column);
    return first < b->members ? first : astray_of(b, s, dtypes, EDEN_F16, turn, column);
}
