/* stored_run.h - two tensors, stored in any way, that are trained on gradients that
 * follow from the step's number. */
#ifndef EDEN_TESTS_STORED_RUN_H
#define EDEN_TESTS_STORED_RUN_H

#include "engine/codec.h"
#include "tests/checkpoint_model.h"

enum { ROWS = 60, COLS = 1100, COUNT = ROWS * COLS, SMALL = 300 };

/* One way to store a tensor. */
typedef struct {
    const char *name;
    uint32_t dtype, grad, state, rounding, copy; /* copy: a dtype, 0 for none */
    uint32_t zero;
} stored_as;

static const stored_as ways[] = {
    { "f32", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, 0, 0 },
    { "f32 zero copy", EDEN_F32, EDEN_F32, EDEN_F32, EDEN_NEAREST, EDEN_BF16, 1 },
    { "f32 g bf16", EDEN_F32, EDEN_BF16, EDEN_BF16, EDEN_NEAREST, 0, 0 },
    { "f16", EDEN_F16, EDEN_F16, EDEN_F16, EDEN_NEAREST, 0, 0 },
    { "bf16 copy f16", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_NEAREST, EDEN_F16, 0 },
    { "master", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_MASTER, 0, 1 },
    { "master f16", EDEN_F16, EDEN_F16, EDEN_F32, EDEN_MASTER, 0, 0 },
    { "split", EDEN_BF16, EDEN_BF16, EDEN_F32, EDEN_SPLIT, EDEN_F16, 0 },
    { "stochastic", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_STOCHASTIC, 0, 0 },
    { "kahan", EDEN_BF16, EDEN_BF16, EDEN_BF16, EDEN_KAHAN, 0, 0 },
};
enum { WAYS = sizeof ways / sizeof *ways };

static inline void narrow(uint32_t dtype, const float *from, void *to, size_t n)
{
    const size_t size = dtype == EDEN_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        eden_codecs[0][dtype].store(from + i, (char *)to + i * size, NULL,
                                    n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

static inline void widen(uint32_t dtype, const void *from, float *to, size_t n)
{
    const size_t size = dtype == EDEN_F32 ? 4 : 2;
    for (size_t i = 0; i < n; i += EDEN_BLOCK)
        eden_codecs[0][dtype].load((const char *)from + i * size, NULL, to + i,
                                   n - i < EDEN_BLOCK ? n - i : EDEN_BLOCK);
}

typedef struct {
    const stored_as *s;
    eden_optimizer *o;
    _Alignas(64) char data[COUNT * 4], grad[COUNT * 4], copy[COUNT * 2];
    _Alignas(64) char data2[SMALL * 4], grad2[SMALL * 4], copy2[SMALL * 2];
    float values[COUNT];
    uint64_t calls;
} run;

static inline void run_add(run *r, const char *name, void *data, void *grad, void *copy, uint64_t rows,
                           uint64_t cols)
{
    eden_tensor t = eden_matrix(data, grad, rows, cols);
    t.dtype = r->s->dtype, t.grad_dtype = r->s->grad, t.state_dtype = r->s->state;
    t.rounding = r->s->rounding;
    if (r->s->copy) t.copy = copy, t.copy_dtype = r->s->copy;
    for (size_t i = 0; i < rows * cols; i++) r->values[i] = (float)(mix(i) % 4001) / 1000 - 2;
    narrow(t.dtype, r->values, data, rows * cols);
    OK(eden_add_tensor(r->o, name, &t, NULL, error));
}

/* "w" is cut into pieces; "v" has no gradient in some steps. */
static inline run *begin(const stored_as *s, const char *rule, const eden_config *config)
{
    run *r = aligned_alloc(64, (sizeof *r + 63) / 64 * 64);
    eden_config c = *config;
    assert_non_null(r);
    memset(r, 0, sizeof *r);
    r->s = s;
    c.zero_grad = s->zero;
    c.seed = 11;
    OK(eden_optimizer_create(&r->o, rule, &c, error));
    if (eden_rule_hyper_index(eden_group_rule(r->o, NULL), "lr") != SIZE_MAX)
        OK(eden_set(r->o, NULL, "lr", 0.01, error));
    run_add(r, "w", r->data, r->grad, r->copy, ROWS, COLS);
    run_add(r, "v", r->data2, r->grad2, r->copy2, 1, SMALL);
    return r;
}

static inline int v_takes_part(uint64_t call) { return call % 5 != 2 && call % 7 != 1; }

static inline void run_gradients(run *r)
{
    const uint64_t t = r->calls++;
    for (size_t i = 0; i < COUNT; i++) r->values[i] = (float)(mix(i * 31 + t * 7919) % 401) / 200 - 1;
    narrow(r->s->grad, r->values, r->grad, COUNT);
    narrow(r->s->grad, r->values, r->grad2, SMALL);
    OK(eden_set_grad(r->o, "v", v_takes_part(t) ? r->grad2 : NULL, error));
}

static inline void run_step(run *r)
{
    run_gradients(r);
    OK(eden_step(r->o, error));
}

static inline void end(run *r)
{
    eden_optimizer_destroy(r->o);
    free(r);
}

/* Weights and copies bit by bit. */
static inline void same_runs(const run *a, const run *b, const char *what)
{
    if (memcmp(a->data, b->data, sizeof a->data) || memcmp(a->data2, b->data2, sizeof a->data2))
        fail_msg("%s, %s: other weights", a->s->name, what);
    if (memcmp(a->copy, b->copy, sizeof a->copy) || memcmp(a->copy2, b->copy2, sizeof a->copy2))
        fail_msg("%s, %s: another copy", a->s->name, what);
}

#endif
