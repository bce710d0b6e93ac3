/* driver.c - cuts a pass into pieces and points every slot at its part. */
#include "engine/driver.h"

static size_t ceil_div(size_t a, size_t b) { return a / b + (a % b != 0); }

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

uint64_t eden_shape_length(uint32_t shape, eden_extent extent)
{
    switch (shape) {
    case EDEN_FULL: return extent.count;
    case EDEN_ROW: return extent.rows;
    case EDEN_COL: return extent.cols;
    default: return 1;
    }
}

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
        if ((job->slots >> s & 1) &&
            (rule->slots[s].shape == EDEN_ROW || rule->slots[s].shape == EDEN_COL))
            job->shaped = 1;
}

int eden_job_has(const eden_job *job, size_t pass, eden_program program)
{
    return (job->passes >> pass & 1) && job->rule->passes[pass].program == (uint32_t)program;
}

/* ---- pieces ------------------------------------------------------------------ */

/* A tensor whose rows matter is cut into panels of whole rows, at least a chunk
 * each and at most EDEN_PANELS, since each keeps sums of its own for every
 * column. The heights follow from the shape alone, which is not empty. */
static size_t panel_rows(const eden_job *job)
{
    const size_t rows = (size_t)job->extent.rows, cols = (size_t)job->extent.cols;
    const size_t by_count = ceil_div(rows, EDEN_PANELS);
    const size_t by_size = ceil_div(EDEN_CHUNK, cols);
    return by_count > by_size ? by_count : by_size;
}

size_t eden_job_pieces(const eden_job *job, size_t pass)
{
    const uint32_t domain = job->rule->passes[pass].domain;
    if (job->extent.count == 0 && domain != EDEN_ONE) return 0;
    if (domain == EDEN_FULL && job->shaped)
        return ceil_div((size_t)job->extent.rows, panel_rows(job));
    return ceil_div((size_t)eden_shape_length(domain, job->extent), EDEN_CHUNK);
}

size_t eden_job_piece_length(const eden_job *job)
{
    return job->shaped && job->extent.count ? panel_rows(job) * (size_t)job->extent.cols : EDEN_CHUNK;
}

size_t eden_pieces_in(uint64_t first, uint64_t last, size_t length)
{
    return last > first ? ceil_div((size_t)last, length) - (size_t)first / length : 0;
}

void eden_job_take(eden_job *job, uint64_t first, uint64_t last)
{
    job->first = first;
    job->last = last;
}

size_t eden_job_own(const eden_job *job, size_t pass, size_t *first)
{
    *first = 0;
    if (job->rule->passes[pass].domain != EDEN_FULL) return eden_job_pieces(job, pass);
    const size_t length = eden_job_piece_length(job);
    *first = (size_t)job->first / length;
    return eden_pieces_in(job->first, job->last, length);
}

/* The rows x cols elements of a piece, and where they begin. */
typedef struct {
    size_t row, at, rows, cols;
} piece_area;

static piece_area area_of(const eden_job *job, uint32_t domain, size_t piece)
{
    if (domain == EDEN_FULL && job->shaped) {
        const size_t height = panel_rows(job), row = piece * height;
        const size_t cols = (size_t)job->extent.cols;
        return (piece_area){ row, row * cols, at_most(height, (size_t)job->extent.rows - row), cols };
    }
    const size_t at = piece * EDEN_CHUNK;
    const size_t left = (size_t)eden_shape_length(domain, job->extent) - at;
    return (piece_area){ 0, at, 1, at_most(EDEN_CHUNK, left) };
}

/* ---- sums --------------------------------------------------------------------- */

static int is_sum(const eden_job *job, size_t s) { return job->rule->slots[s].kind == EDEN_SUM; }

/* Add the panels' sums of columns [at, at + n), in panel order. Done by the pass
 * that reads them, so that threads share the work. */
static void fold_columns(const eden_job *job, size_t s, size_t at, size_t n)
{
    const size_t cols = (size_t)job->extent.cols;
    const size_t panels = ceil_div((size_t)job->extent.rows, panel_rows(job));
    double *total = (double *)job->base[s] + at;
    for (size_t c = 0; c < n; c++) total[c] = 0;
    for (size_t p = 0; p < panels; p++) {
        const double *from = job->partial[s] + p * cols + at;
        for (size_t c = 0; c < n; c++) total[c] += from[c];
    }
}

void eden_job_fold(const eden_job *job, size_t pass)
{
    const eden_pass *ps = &job->rule->passes[pass];
    const size_t pieces = eden_job_pieces(job, pass);
    for (size_t s = 0; s < job->rule->slot_count; s++) {
        if (!is_sum(job, s) || !(ps->writes >> s & 1) || job->rule->slots[s].shape != EDEN_ONE)
            continue;
        double total = 0;
        for (size_t i = 0; i < pieces; i++) total += job->partial[s][i];
        *(double *)job->base[s] = total;
    }
}

/* ---- running -------------------------------------------------------------------- */

/* Where slot s begins for this piece of this pass. */
static void *slot_at(const eden_job *job, const eden_pass *ps, size_t s, size_t piece, piece_area a)
{
    const eden_slot *slot = &job->rule->slots[s];
    const size_t size = slot->kind == EDEN_SUM ? sizeof(double) : sizeof(real);
    const int writes = ps->writes >> s & 1;
    char *base = job->base[s];

    if (slot->kind == EDEN_SUM && writes) {
        if (slot->shape == EDEN_ONE) return job->partial[s] + piece;
        if (slot->shape == EDEN_COL) {
            double *mine = job->partial[s] + piece * (size_t)job->extent.cols;
            for (size_t c = 0; c < a.cols; c++) mine[c] = 0;
            return mine;
        }
    }
    if (slot->kind == EDEN_SUM && slot->shape == EDEN_COL && ps->domain == EDEN_COL)
        fold_columns(job, s, a.at, a.cols);
    if (slot->shape == EDEN_FULL && job->storage)
        return base + eden_codec_bytes(job->storage->codec[s], a.at);
    if (slot->shape == ps->domain) return base + a.at * size;
    if (slot->shape == EDEN_ROW) return base + a.row * size;
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

void eden_job_run(const eden_job *job, size_t pass, size_t piece)
{
    const eden_pass *ps = &job->rule->passes[pass];
    const piece_area a = area_of(job, ps->domain, piece);
    void *at[EDEN_MAX_SLOTS] = { 0 };
    for (size_t s = 0; s < job->rule->slot_count; s++)
        if ((ps->reads | ps->writes) >> s & 1) at[s] = slot_at(job, ps, s, piece, a);
    eden_kernel *kernel = job->rule->kernels[job->isa][pass];
    if (!in_blocks(job, pass)) {
        kernel(job->consts, &job->grad, job->types, at, a.rows, a.cols);
        return;
    }
    const eden_types types = job->types == ALL_16 && weights_followed(job, pass) ? GRAD_STATE_16 : job->types;
    const eden_staged staged = { job->rule, job->storage, ps, kernel, types, job->consts,
                                 &job->grad, job->isa, is_last(job, pass, 1, 0),
                                 is_last(job, pass, 0, 1), a.at, a.rows, a.cols, at };
    eden_stage_run(&staged);
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
    uint64_t pieces = 0;
    for (size_t p = 0; p < job->rule->pass_count; p++) {
        if (!(job->passes >> p & 1) || !(job->rule->passes[p].writes >> s & 1)) continue;
        const size_t n = eden_job_pieces(job, p);
        pieces = n > pieces ? n : pieces;
    }
    switch (job->rule->slots[s].shape) {
    case EDEN_ONE: return pieces;
    case EDEN_COL: return pieces * job->extent.cols;
    default: return 0;
    }
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
