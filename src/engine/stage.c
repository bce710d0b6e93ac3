/* stage.c - see stage.h. Blocks depend on the shape alone, so that sums do too. */
#include "engine/stage.h"

enum { PARAM = 0, GRAD = 1 }; /* every rule's first two slots */

/* Elements staged at a time: a few blocks, so that all slots stay in L1. */
#define STAGED (4 * EDEN_BLOCK)

typedef struct {
    _Alignas(64) real slot[EDEN_MAX_SLOTS][STAGED];
    double sum[EDEN_MAX_SLOTS][STAGED];
    void *here[EDEN_MAX_SLOTS];
    size_t row, col, rows, cols; /* of the piece */
} block;

static int has(uint32_t bits, size_t s) { return (int)(bits >> s & 1); }

/* ---- what needs no staging ------------------------------------------------------- */

static int is_full_state(const eden_rule *rule, size_t s)
{
    return rule->slots[s].kind == EDEN_STATE && rule->slots[s].shape == EDEN_FULL;
}

eden_types eden_stage_types(const eden_rule *rule, uint32_t slots, const eden_storage *storage)
{
    if (storage->codec[GRAD] != EDEN_CODEC_BF16) return ALL_F32;
    for (size_t s = 0; s < rule->slot_count; s++)
        if (has(slots, s) && is_full_state(rule, s) && storage->codec[s] != EDEN_CODEC_BF16) return GRAD_16;
    return storage->codec[PARAM] == EDEN_CODEC_BF16 && storage->rounding == EDEN_ROUND_NEAREST
               ? ALL_16
               : GRAD_STATE_16;
}

/* Does a kernel take this slot as it is stored? */
static int as_it_is(const eden_rule *rule, const eden_storage *storage, eden_types types, size_t s)
{
    if (storage->codec[s] == EDEN_CODEC_F32) return 1;
    if (s == GRAD) return types != ALL_F32;
    if (s == PARAM) return types == ALL_16;
    return types >= GRAD_STATE_16 && is_full_state(rule, s);
}

int eden_stage_needed(const eden_rule *rule, uint32_t slots, const eden_storage *storage)
{
    const eden_types types = eden_stage_types(rule, slots, storage);
    for (size_t s = 0; s < rule->slot_count; s++)
        if (has(slots, s) && !as_it_is(rule, storage, types, s)) return 1;
    return 0;
}

/* ---- where things are ---------------------------------------------------------------- */

/* A sum that a kernel stores, and that blocks have to add up. */
static int is_total(const eden_staged *p, size_t s)
{
    return !p->small && p->rule->slots[s].kind == EDEN_SUM && has(p->pass->writes, s) &&
           p->rule->slots[s].shape != EDEN_COL;
}

static size_t element_of(const eden_staged *p, const block *b) { return b->row * p->cols + b->col; }

static void *stored_at(const eden_staged *p, size_t s, size_t element)
{
    return (char *)p->at[s] + eden_codec_bytes(p->storage->codec[s], element);
}

static float *scale_at(const eden_staged *p, size_t s, size_t element)
{
    float *scale = p->storage->scale[s];
    return scale ? scale + (p->first + element) / EDEN_BLOCK : scale;
}

/* ---- before the kernel --------------------------------------------------------------- */

static void load(const eden_staged *p, size_t s, size_t element, real *to, size_t n)
{
    const unsigned codec = p->storage->codec[s];
    if (s == PARAM && p->storage->rounding == EDEN_ROUND_SPLIT) {
        eden_weights_codecs[p->isa]->load_split(stored_at(p, s, element),
                                                p->storage->lost + p->first + element, to, n);
        return;
    }
    eden_codecs[p->isa][codec].load(stored_at(p, s, element), scale_at(p, s, element), to, n);
}

static void *gather_slot(const eden_staged *p, block *b, size_t s)
{
    const eden_slot *slot = &p->rule->slots[s];
    const size_t size = slot->kind == EDEN_SUM ? sizeof(double) : sizeof(real);
    const size_t matrix = p->small ? b->row / p->height : 0;
    if (is_total(p, s)) return b->sum[s];
    if (slot->shape == EDEN_ROW) return (char *)p->at[s] + b->row * size;
    if (slot->shape == EDEN_COL) return (char *)p->at[s] + (matrix * p->cols + b->col) * size;
    if (slot->shape == EDEN_EACH) return (char *)p->at[s] + matrix * size;
    if (slot->shape == EDEN_ONE) return p->at[s];
    if (as_it_is(p->rule, p->storage, p->types, s)) return stored_at(p, s, element_of(p, b));
    if (has(p->pass->reads, s)) load(p, s, element_of(p, b), b->slot[s], b->rows * b->cols);
    return b->slot[s];
}

static void ask(const void *at, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)at + i, 0, 2);
}

/* Ask for what the next block is loaded from and stored to, into L2, so that memory
 * works while this one is computed. Kernels do so for what they take as it is. */
static void ask_ahead(const eden_staged *p, const block *b)
{
    const eden_storage *storage = p->storage;
    const uint32_t reads = p->pass->reads, writes = p->pass->writes;
    const size_t n = b->rows * b->cols, next = element_of(p, b) + n;
    for (size_t s = 0; (reads | writes) >> s; s++)
        if (has(reads | writes, s) && p->rule->slots[s].shape == EDEN_FULL &&
            !as_it_is(p->rule, storage, p->types, s))
            ask(stored_at(p, s, next), eden_codec_bytes(storage->codec[s], n));
    if (!has(writes, PARAM)) return;
    if (storage->lost) ask(storage->lost + p->first + next, n * sizeof *storage->lost);
    if (storage->copy) ask(storage->copy + p->first + next, n * sizeof *storage->copy);
    if (storage->average && p->ends_param)
        ask(storage->average + p->first + next, n * sizeof *storage->average);
}

/* ---- after it ---------------------------------------------------------------------------- */

static void store(const eden_staged *p, size_t s, size_t element, const real *from, size_t n)
{
    const unsigned codec = p->storage->codec[s];
    eden_codecs[p->isa][codec].store(from, stored_at(p, s, element), scale_at(p, s, element), n);
}

static void store_weights(const eden_staged *p, size_t element, const real *from, size_t n)
{
    const eden_storage *storage = p->storage;
    const eden_weights_codec *codec = eden_weights_codecs[p->isa];
    const uint64_t first = p->first + element;
    void *to = stored_at(p, PARAM, element);
    switch (storage->rounding) {
    case EDEN_ROUND_SPLIT: codec->store_split(from, to, storage->lost + first, n); break;
    case EDEN_ROUND_STOCHASTIC:
        codec->store_stochastic(storage->codec[PARAM], from, to, storage->key, first, n);
        break;
    case EDEN_ROUND_KAHAN:
        codec->store_kahan(storage->codec[PARAM], from, to, storage->lost + first, n);
        break;
    default: store(p, PARAM, element, from, n); break;
    }
}

/* What else is written of weights that have just been updated. */
static void follow_weights(const eden_staged *p, size_t element, const real *from, size_t n)
{
    const eden_storage *storage = p->storage;
    const uint64_t first = p->first + element;
    if (storage->copy)
        eden_codecs[p->isa][storage->copy_codec].store(from, storage->copy + first, 0, n);
    if (storage->average && p->ends_param)
        eden_weights_codecs[p->isa]->average(from, storage->average + first, storage->gain, n);
}

/* State that f16 cannot hold stays at its largest number: from infinity no step leads
 * back, and the weights would follow. A NaN passes. */
static void limit_state(real *x, size_t n)
{
    const real most = 65504;
    for (size_t i = 0; i < n; i++) x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
}

static void scatter_slot(const eden_staged *p, const block *b, size_t s)
{
    const eden_slot *slot = &p->rule->slots[s];
    const size_t element = element_of(p, b), n = b->rows * b->cols;
    if (is_total(p, s)) {
        double *total = (double *)p->at[s] + (slot->shape == EDEN_ROW ? b->row : 0);
        const size_t count = slot->shape == EDEN_ROW ? b->rows : 1;
        for (size_t r = 0; r < count; r++) total[r] += b->sum[s][r];
    } else if (slot->shape == EDEN_FULL && !as_it_is(p->rule, p->storage, p->types, s)) {
        if (s != PARAM && p->storage->codec[s] == EDEN_CODEC_F16) limit_state(b->here[s], n);
        if (s == PARAM) store_weights(p, element, b->here[s], n);
        else store(p, s, element, b->here[s], n);
    }
    if (s == PARAM) follow_weights(p, element, b->here[s], n);
}

static void clear_gradient(const eden_staged *p, const block *b)
{
    unsigned char *to = stored_at(p, GRAD, element_of(p, b));
    const uint64_t bytes = eden_codec_bytes(p->storage->codec[GRAD], b->rows * b->cols);
    for (uint64_t i = 0; i < bytes; i++) to[i] = 0;
}

/* ---- the blocks of a piece ------------------------------------------------------------------ */

static void clear_totals(const eden_staged *p)
{
    for (size_t s = 0; s < p->rule->slot_count; s++) {
        if (!is_total(p, s)) continue;
        double *total = p->at[s];
        const size_t count = p->rule->slots[s].shape == EDEN_ROW ? p->rows : 1;
        for (size_t r = 0; r < count; r++) total[r] = 0;
    }
}

static void run_block(const eden_staged *p, block *b)
{
    const uint32_t reads = p->pass->reads, writes = p->pass->writes;
    for (size_t s = 0; (reads | writes) >> s; s++)
        if (has(reads | writes, s)) b->here[s] = gather_slot(p, b, s);
    ask_ahead(p, b);
    if (p->small) p->small(p->consts, p->grad, b->here, b->rows / p->height, p->height, b->cols);
    else p->kernel(p->consts, p->grad, p->types, b->here, b->rows, b->cols);
    for (size_t s = 0; writes >> s; s++)
        if (has(writes, s)) scatter_slot(p, b, s);
    if (p->storage->zero_grad && p->ends_grad && has(reads, GRAD)) clear_gradient(p, b);
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

/* Blocks are parts of a row, or whole rows where those are short. */
void eden_stage_run(const eden_staged *p)
{
    const size_t fit = p->cols >= STAGED ? 1 : STAGED / p->cols;
    const size_t high = p->small ? fit / p->height * p->height : fit;
    block b;
    for (size_t s = 0; s < EDEN_MAX_SLOTS; s++) b.here[s] = 0;
    clear_totals(p);
    for (b.row = 0; b.row < p->rows; b.row += b.rows) {
        b.rows = at_most(high, p->rows - b.row);
        for (b.col = 0; b.col < p->cols; b.col += b.cols) {
            b.cols = at_most(STAGED, p->cols - b.col);
            run_block(p, &b);
        }
    }
}
