/* lent_state.h - the state of a stored_run.h run in memory that the test owns, as long as
 * it has to be and not a byte more, nor better aligned than it has to be. */
#ifndef EDEN_TESTS_LENT_STATE_H
#define EDEN_TESTS_LENT_STATE_H

#include "tests/stored_run.h"

enum { MOST_LENT = 16, LENT_OFFSET = 4 };

typedef struct {
    struct {
        const char *tensor, *slot;
        eden_layout layout;
        char *room, *at;
    } part[MOST_LENT];
    size_t count;
} lent;

static const char *const tensor_names[] = { "w", "v" };

static inline void lent_add(lent *l, run *r, const char *tensor, const char *slot)
{
    eden_layout layout = EDEN_LAYOUT_INIT;
    OK(eden_state_layout(r->o, tensor, slot, &layout, error));
    if (!layout.count) {
        assert_int_equal(layout.bytes, 0);
        return;
    }
    assert_true(l->count < MOST_LENT);
    const size_t offset = layout.dtype == EDEN_BF16 || layout.dtype == EDEN_F16 ? 2 : LENT_OFFSET;
    char *room = calloc(1, (size_t)layout.bytes + offset);
    assert_non_null(room);
    l->part[l->count].tensor = tensor, l->part[l->count].slot = slot;
    l->part[l->count].layout = layout;
    l->part[l->count].room = room, l->part[l->count++].at = room + offset;
}

/* Room for all state that there is under the settings of now, all zeros. */
static inline void lent_make(lent *l, run *r)
{
    const eden_rule *rule = eden_group_rule(r->o, NULL);
    const eden_slot *slot;
    memset(l, 0, sizeof *l);
    for (size_t i = 0; i < 2; i++) {
        for (size_t s = 0; (slot = eden_rule_slot(rule, s)) != NULL; s++)
            if (slot->kind == EDEN_STATE) lent_add(l, r, tensor_names[i], slot->name);
        lent_add(l, r, tensor_names[i], "master");
        lent_add(l, r, tensor_names[i], "lost");
    }
}

/* Masters begin as the weights. */
static inline void lent_begin(lent *l, const run *r)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->part[i].slot, "master") == 0)
            widen(r->s->dtype, *l->part[i].tensor == 'w' ? r->data : r->data2, (float *)(void *)l->part[i].at,
                  (size_t)l->part[i].layout.count);
}

static inline void lent_bind(const lent *l, run *r)
{
    for (size_t i = 0; i < l->count; i++)
        OK(eden_set_state(r->o, l->part[i].tensor, l->part[i].slot, l->part[i].at, l->part[i].layout.bytes, error));
}

static inline void lent_return(const lent *l, run *r)
{
    for (size_t i = 0; i < l->count; i++)
        OK(eden_set_state(r->o, l->part[i].tensor, l->part[i].slot, NULL, 0, error));
}

static inline uint64_t lent_bytes(const lent *l)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < l->count; i++) bytes += l->part[i].layout.bytes;
    return bytes;
}

static inline void lent_fill(const lent *l, int byte)
{
    for (size_t i = 0; i < l->count; i++) memset(l->part[i].at, byte, (size_t)l->part[i].layout.bytes);
}

static inline void lent_copy(const lent *to, const lent *from)
{
    assert_int_equal(to->count, from->count);
    for (size_t i = 0; i < to->count; i++) {
        assert_int_equal(to->part[i].layout.bytes, from->part[i].layout.bytes);
        memcpy(to->part[i].at, from->part[i].at, (size_t)to->part[i].layout.bytes);
    }
}

/* A hash of all bytes, to see that none has changed, or that some have. */
static inline uint64_t lent_hash(const lent *l)
{
    uint64_t hash = fnv_start;
    for (size_t i = 0; i < l->count; i++)
        for (uint64_t k = 0; k < l->part[i].layout.bytes; k++) hash = fnv(hash, (unsigned char)l->part[i].at[k], 1);
    return hash;
}

static inline void lent_free(lent *l)
{
    for (size_t i = 0; i < l->count; i++) free(l->part[i].room);
}

/* State as floats, the same in both. */
static inline void same_states(run *a, run *b, const lent *l, const char *what)
{
    static float x[COUNT], y[COUNT];
    uint64_t n = 0, m = 0;
    for (size_t i = 0; i < l->count; i++) {
        OK(eden_get_state(a->o, l->part[i].tensor, l->part[i].slot, x, COUNT, &n, error));
        OK(eden_get_state(b->o, l->part[i].tensor, l->part[i].slot, y, COUNT, &m, error));
        assert_int_equal(n, m);
        assert_int_equal(n, l->part[i].layout.count);
        if (memcmp(x, y, (size_t)n * sizeof *x) != 0)
            fail_msg("%s, %s: another '%s' of '%s'", a->s->name, what, l->part[i].slot, l->part[i].tensor);
    }
}

/* 8-bit state is not for rules that factor. */
static inline int suits(const eden_rule *rule, const stored_as *s)
{
    const eden_slot *slot;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++)
        if (s->state == EDEN_Q8 && slot->shape == EDEN_ROW) return 0;
    return 1;
}

static const stored_as all_ways[] = {
    { "f32", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, 0, 0 },
    { "state bf16", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, EDEN_BF16, 1 },
    { "state f16", EDEN_F16, EDEN_F16, EDEN_F16, EDEN_NEAREST, 0, 0 },
    { "state q8", EDEN_F32, EDEN_F32, EDEN_Q8, EDEN_NEAREST, 0, 0 },
    { "master", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_MASTER, 0, 1 },
    { "master f16 q8", EDEN_F16, EDEN_F16, EDEN_Q8, EDEN_MASTER, 0, 0 },
    { "split", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_SPLIT, EDEN_F16, 0 },
    { "stochastic", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC, 0, 0 },
    { "kahan", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_KAHAN, 0, 0 },
    { "kahan f16", EDEN_F16, EDEN_F32, EDEN_Q8, EDEN_KAHAN, 0, 0 },
};
enum { ALL_WAYS = sizeof all_ways / sizeof *all_ways };

#endif
