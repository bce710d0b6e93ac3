/* driver.c - cuts a pass into pieces and points every slot at its part. */
#include "engine/pieces.h"

/* Conditions compare numbers, and a caller's flush to zero would make some equal. */
uint32_t eden_slots_on(const eden_rule *rule, const double *hypers, eden_extent extent)
{
    eden_float_env saved;
    eden_float_enter(&saved);
    const uint32_t slots = rule->slots_on(hypers, extent);
    eden_float_leave(&saved);
    return slots;
}

uint32_t eden_passes_on(const eden_rule *rule, const double *hypers, eden_extent extent)
{
    eden_float_env saved;
    eden_float_enter(&saved);
    const uint32_t passes = rule->passes_on(hypers, extent);
    eden_float_leave(&saved);
    return passes;
}

void eden_job_init(eden_job *job, const eden_rule *rule, size_t isa, const double *hypers,
                   eden_extent extent)
{
    *job = (eden_job){ .rule = rule, .isa = isa, .extent = extent, .last = extent.count };
    job->grad = (eden_grad_scale){ 1, __builtin_inff(), 1 };
    job->slots = eden_slots_on(rule, hypers, extent);
    job->passes = eden_passes_on(rule, hypers, extent);
    for (size_t s = 0; s < rule->slot_count; s++)
        if ((job->slots >> s & 1) && rule->slots[s].shape != EDEN_FULL && rule->slots[s].shape != EDEN_ONE)
            job->shaped = 1;
}

int eden_job_has(const eden_job *job, size_t pass, eden_program program)
{
    return (job->passes >> pass & 1) && job->rule->passes[pass].program == (uint32_t)program;
}

/* ---- sums --------------------------------------------------------------------- */

static int is_sum(const eden_job *job, size_t s) { return job->rule->slots[s].kind == EDEN_SUM; }

/* Add the panels' sums of n columns from the at-th of all, which are of one matrix, in
 * panel order. Done by the pass that reads them, so that threads share the work. */
static void fold_columns(const eden_job *job, size_t s, size_t matrix, size_t at, size_t n)
{
    const size_t cols = (size_t)job->extent.cols, panels = eden_panels_of(job);
    const double *partial = job->partial[s] + matrix * panels * cols + (at - matrix * cols);
    double *total = (double *)job->base[s] + at;
    for (size_t c = 0; c < n; c++) total[c] = 0;
    for (size_t p = 0; p < panels; p++)
        for (size_t c = 0; c < n; c++) total[c] += partial[p * cols + c];
}

eden_job_sums eden_job_sums_of(const eden_job *job, size_t s, size_t begin, size_t end)
{
    const eden_cutting c = eden_cut(job, EDEN_FULL);
    const size_t cols = (size_t)job->extent.cols;
    /* Parts of matrices, which are not pieces where several matrices make one. */
    const size_t part = begin * c.together, parts = eden_at_most(end * c.together, c.matrices * c.parts) - part;
    const size_t row = (size_t)eden_job_piece_at(job, begin) / cols, rows = (size_t)eden_job_piece_at(job, end) / cols - row;
    switch (job->rule->slots[s].shape) {
    case EDEN_ONE: return (eden_job_sums){ job->partial[s] + begin, end - begin };
    case EDEN_EACH: return (eden_job_sums){ job->partial[s] + part, parts };
    case EDEN_COL:
        return (eden_job_sums){ (c.parts > 1 ? job->partial[s] : (double *)job->base[s]) + part * cols, parts * cols };
    default: return (eden_job_sums){ (double *)job->base[s] + row, rows };
    }
}

void eden_job_fold(const eden_job *job, size_t pass)
{
    const eden_pass *ps = &job->rule->passes[pass];
    const size_t pieces = eden_job_pieces(job, pass);
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        const uint32_t shape = job->rule->slots[s].shape;
        if (!is_sum(job, s) || !(ps->writes >> s & 1) || (shape != EDEN_ONE && shape != EDEN_EACH)) continue;
        const eden_cutting c = eden_cut(job, ps->domain);
        const size_t totals = shape == EDEN_ONE ? 1 : c.matrices, terms = shape == EDEN_ONE ? pieces : c.parts;
        for (size_t m = 0; m < totals; m++) {
            double total = 0;
            for (size_t i = 0; i < terms; i++) total += job->partial[s][m * terms + i];
            ((double *)job->base[s])[m] = total;
        }
    }
}

/* ---- running -------------------------------------------------------------------- */

/* Where slot s begins for this part of this pass. A sum of the whole tensor begins in
 * `mine`, to be added to those of the piece's other matrices. */
static void *slot_at(const eden_job *job, const eden_pass *ps, size_t s, const eden_area *a, double *mine)
{
    const eden_slot *slot = &job->rule->slots[s];
    const size_t size = slot->kind == EDEN_SUM ? sizeof(double) : sizeof(real);
    char *base = job->base[s];

    if (slot->kind == EDEN_SUM && (ps->writes >> s & 1)) {
        if (slot->shape == EDEN_ONE) return mine;
        if (slot->shape == EDEN_EACH) return job->partial[s] + a->nth;
        if (slot->shape == EDEN_COL) {
            const size_t cols = (size_t)job->extent.cols, panels = eden_panels_of(job);
            double *sums = panels == 1 ? (double *)(void *)base + a->matrix * cols
                                       : job->partial[s] + (a->matrix * panels + a->panel) * cols;
            for (size_t c = 0; c < a->cols; c++) sums[c] = 0;
            return sums;
        }
    }
    if (slot->kind == EDEN_SUM && slot->shape == EDEN_COL && ps->domain == EDEN_COL && eden_panels_of(job) > 1)
        fold_columns(job, s, a->matrix, a->at, a->cols);
    if (slot->shape == EDEN_FULL && job->storage)
        return base + eden_codec_bytes(job->storage->codec[s], a->at);
    if (slot->shape == ps->domain) return base + a->at * size;
    if (slot->shape == EDEN_ROW) return base + a->row * size;
    if (slot->shape == EDEN_COL) return base + a->matrix * (size_t)job->extent.cols * size;
    if (slot->shape == EDEN_EACH) return base + a->matrix * size;
    return base;
}

/* Is `pass` the last of its program that reads, or writes, slot s? */
static int is_last(const eden_job *job, size_t pass, size_t s, int writes)
{
    const eden_pass *passes = job->rule->passes;
    for (size_t p = pass + 1; p < job->rule->pass_count; p++)
        if (eden_job_has(job, p, (eden_program)passes[pass].program) &&
            ((writes ? passes[p].writes : passes[p].reads) >> s & 1))
            return 0;
    return 1;
}

/* Is something else written of the weights that this pass computes, as floats? */
static int weights_followed(const eden_job *job, size_t pass)
{
    const eden_storage *storage = job->storage;
    if (!storage || !(job->rule->passes[pass].writes & 1)) return 0;
    return storage->copy || (storage->average && is_last(job, pass, 0, 1));
}

static int adds_totals(const eden_job *job, size_t pass)
{
    for (size_t s = 0; s < job->rule->slot_count; s++)
        if (is_sum(job, s) && (job->rule->passes[pass].writes >> s & 1) &&
            job->rule->slots[s].shape != EDEN_COL)
            return 1;
    return 0;
}

/* Does this pass run block by block? It does where slots are staged, or something is done
 * to blocks while they are in the cache. Blocks add sums up in parts, so other passes,
 * whose sums decide the weights, do without; but those over weights of 16 bits do so
 * whether all of them are staged or none. */
static int in_blocks(const eden_job *job, size_t pass)
{
    const eden_pass *ps = &job->rule->passes[pass];
    if (ps->domain != EDEN_FULL || !job->storage) return 0;
    if (job->staged || weights_followed(job, pass)) return 1;
    if (job->types == ALL_16 && adds_totals(job, pass)) return 1;
    return job->storage->zero_grad && (ps->reads >> 1 & 1) && is_last(job, pass, 1, 0);
}

/* As blocks, of rows of one matrix or, with `small`, of several. */
static void run_blocks(const eden_job *job, size_t pass, const eden_area *a, eden_types types,
                       eden_small_kernel *small, void *const *at)
{
    const eden_staged staged = { job->rule, job->storage, &job->rule->passes[pass],
                                 job->rule->kernels[job->isa][pass], small, (size_t)job->extent.rows, types,
                                 job->consts, &job->grad, job->isa, is_last(job, pass, 1, 0),
                                 is_last(job, pass, 0, 1), a->at, a->rows, a->cols, at };
    eden_stage_run(&staged);
}

static void run_area(const eden_job *job, size_t pass, const eden_area *a, void *const *at)
{
    const eden_types types = job->types == ALL_16 && weights_followed(job, pass) ? GRAD_STATE_16 : job->types;
    if (in_blocks(job, pass)) run_blocks(job, pass, a, types, NULL, at);
    else job->rule->kernels[job->isa][pass](job->consts, &job->grad, job->types, at, a->rows, a->cols);
}

/* The slots that a pass touches, and where they begin for one matrix after the other. */
typedef struct {
    size_t used, slot[EDEN_MAX_SLOTS];
    ptrdiff_t stride[EDEN_MAX_SLOTS];
    int columns[EDEN_MAX_SLOTS], total[EDEN_MAX_SLOTS]; /* of the sums that it adds to */
    void *at[EDEN_MAX_SLOTS];
    double mine[EDEN_MAX_SLOTS], sum[EDEN_MAX_SLOTS];
} walk;

static void start_walk(const eden_job *job, const eden_pass *ps, walk *w)
{
    w->used = 0;
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        w->at[s] = NULL;
        if (!((ps->reads | ps->writes) >> s & 1)) continue;
        const int adds = is_sum(job, s) && (ps->writes >> s & 1);
        w->columns[s] = adds && job->rule->slots[s].shape == EDEN_COL;
        w->total[s] = adds && job->rule->slots[s].shape == EDEN_ONE;
        w->sum[s] = 0;
        w->slot[w->used++] = s;
    }
}

/* Many matrices are small: from the third on, each begins where the one before it says. */
static void walk_on(const eden_job *job, const eden_pass *ps, const eden_cutting *c, size_t nth, size_t from, eden_area *a,
                    walk *w)
{
    const int alike = nth > from + 1 && c->parts == 1 && eden_panels_of(job) == 1;
    if (alike) a->nth = nth, a->matrix++, a->row += (size_t)job->extent.rows, a->at += c->length;
    else *a = eden_area_of(job, ps->domain, c, nth);
    for (size_t u = 0; u < w->used; u++) {
        const size_t s = w->slot[u];
        char *before = w->at[s];
        w->at[s] = alike ? before + w->stride[s] : slot_at(job, ps, s, a, &w->mine[s]);
        if (!alike && nth > from) w->stride[s] = (char *)w->at[s] - before;
        for (size_t col = 0; alike && w->columns[s] && col < a->cols; col++) ((double *)w->at[s])[col] = 0;
    }
}

/* Are matrices of so few elements that a kernel's start for each would be most of the time?
 * One alone is run in the same order as many. */
static int are_small(const eden_job *job, const eden_cutting *c)
{
    return job->shaped && job->extent.count / c->matrices <= EDEN_SMALL;
}

/* Matrices [first, last) in one call; sums are clear before. */
static void run_small(const eden_job *job, size_t pass, const eden_cutting *c, size_t piece, size_t first, size_t last)
{
    const eden_pass *ps = &job->rule->passes[pass];
    eden_small_kernel *kernel = job->rule->small[job->isa][pass];
    const size_t n = last - first;
    eden_area a = eden_area_of(job, ps->domain, c, first);
    double mine[EDEN_MAX_SLOTS];
    void *at[EDEN_MAX_SLOTS];
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        const uint32_t shape = job->rule->slots[s].shape;
        at[s] = NULL;
        if (!((ps->reads | ps->writes) >> s & 1)) continue;
        at[s] = slot_at(job, ps, s, &a, &mine[s]);
        if (!is_sum(job, s) || !(ps->writes >> s & 1)) continue;
        const size_t sums = shape == EDEN_ONE ? 1 : n * ((size_t)eden_shape_length(shape, job->extent) / c->matrices);
        for (size_t i = 0; i < sums; i++) ((double *)at[s])[i] = 0;
    }
    if (ps->domain == EDEN_FULL && (in_blocks(job, pass) || job->types != ALL_F32)) {
        a.rows *= n;
        run_blocks(job, pass, &a, ALL_F32, kernel, at);
    } else {
        kernel(job->consts, &job->grad, at, n, a.rows, a.cols);
    }
    for (size_t s = 0; s < job->rule->slot_count; s++)
        if (is_sum(job, s) && (ps->writes >> s & 1) && job->rule->slots[s].shape == EDEN_ONE)
            job->partial[s][piece] = mine[s];
}

void eden_job_run(const eden_job *job, size_t pass, size_t piece)
{
    const eden_pass *ps = &job->rule->passes[pass];
    const eden_cutting c = eden_cut(job, ps->domain);
    const size_t first = piece * c.together, last = eden_at_most(first + c.together, c.matrices * c.parts);
    if (are_small(job, &c)) {
        run_small(job, pass, &c, piece, first, last);
        return;
    }
    eden_area a = { 0, 0, 0, 0, 0, 0, 0 };
    walk w;
    start_walk(job, ps, &w);
    for (size_t nth = first; nth < last; nth++) {
        walk_on(job, ps, &c, nth, first, &a, &w);
        run_area(job, pass, &a, w.at);
        for (size_t u = 0; u < w.used; u++)
            if (w.total[w.slot[u]]) w.sum[w.slot[u]] += w.mine[w.slot[u]];
    }
    for (size_t u = 0; u < w.used; u++)
        if (w.total[w.slot[u]]) job->partial[w.slot[u]][piece] = w.sum[w.slot[u]];
}

void eden_job_store(eden_job *job, const eden_storage *storage)
{
    job->storage = storage;
    job->types = eden_stage_types(job->rule, job->slots, storage);
    job->staged = eden_stage_needed(job->rule, job->slots, storage);
}

/* ---- workspace -------------------------------------------------------------------- */

static int grow(uint64_t *used, uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, 63, &bytes))
        return 0;
    return !__builtin_add_overflow(*used, bytes & ~(uint64_t)63, used);
}

/* How many values of its own a SUM needs for the pieces that add to it. */
static uint64_t partial_length(const eden_job *job, size_t s)
{
    const uint32_t shape = job->rule->slots[s].shape;
    uint64_t most = 0;
    for (size_t p = 0; p < job->rule->pass_count && job->extent.count; p++) {
        if (!(job->passes >> p & 1) || !(job->rule->passes[p].writes >> s & 1)) continue;
        const eden_cutting c = eden_cut(job, job->rule->passes[p].domain);
        const uint64_t parts = c.matrices * c.parts;
        const uint64_t n = shape == EDEN_ONE    ? eden_job_pieces(job, p)
                           : shape == EDEN_EACH ? parts
                           : shape == EDEN_COL && c.parts > 1 ? parts * job->extent.cols
                                                              : 0;
        most = n > most ? n : most;
    }
    return most;
}

uint64_t eden_job_lay_out(eden_job *job, void *work)
{
    uint64_t used = 0;
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        const eden_slot *slot = &job->rule->slots[s];
        if (!(job->slots >> s & 1) || (slot->kind != EDEN_SCRATCH && slot->kind != EDEN_SUM))
            continue;
        const int full = slot->shape == EDEN_FULL;
        const uint64_t length = full ? job->last - job->first : eden_shape_length(slot->shape, job->extent);
        /* Elements are counted from the tensor's first, which need not be here. */
        const uintptr_t before = full ? (uintptr_t)job->first * sizeof(real) : 0;
        if (work) job->base[s] = (void *)((uintptr_t)work + (uintptr_t)used - before);
        if (!grow(&used, length, slot->kind == EDEN_SUM ? sizeof(double) : sizeof(real)))
            return UINT64_MAX;
        if (slot->kind != EDEN_SUM) continue;
        if (work) job->partial[s] = (double *)(void *)((char *)work + used);
        if (!grow(&used, partial_length(job, s), sizeof(double))) return UINT64_MAX;
    }
    return used;
}
