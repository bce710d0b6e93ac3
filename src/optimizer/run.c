/* run.c - a program run over the tensors of a plan, on all threads. */
#include "optimizer/shard.h"

#define TASKS_A_THREAD 4
#define ALONE (6 * (uint64_t)EDEN_CHUNK) /* totals below this stay on one thread */

/* A round: the n-th pass of a program for each item of a wave, or one scan. */
typedef struct {
    eden_optimizer *o;
    size_t begin, end;      /* items                                          */
    size_t pieces, tasks;
    const eden_grad_scale *scale;
    int want_norm;
    void (*run)(const eden_item *item, size_t piece, void *round);
} eden_round;

/* Item of the wave that a piece of the round belongs to. */
static size_t item_of(const eden_round *round, size_t piece)
{
    const size_t *first = round->o->plan->first;
    size_t low = round->begin, high = round->end;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (first[middle] <= piece) low = middle;
        else high = middle;
    }
    return low;
}

static void run_slice(size_t task, void *job)
{
    eden_round *round = job;
    const eden_plan *plan = round->o->plan;
    const size_t share = round->pieces / round->tasks, more = round->pieces % round->tasks;
    size_t piece = task * share + (task < more ? task : more);
    const size_t end = piece + share + (task < more);
    size_t i = item_of(round, piece);
    eden_float_env saved;

    eden_float_enter(&saved);
    for (; piece < end; piece++) {
        while (i + 1 < round->end && plan->first[i + 1] <= piece) i++;
        round->run(&plan->items[i], piece - plan->first[i], round);
    }
    eden_float_leave(&saved);
}

/* Run all pieces; plan->first holds where each item's begin. */
static void run_round(eden_round *round)
{
    eden_optimizer *o = round->o;
    const size_t threads = o->threads ? eden_threads_count(o->threads) : EDEN_PANELS;
    uint64_t elements = 0;
    for (size_t i = round->begin; i < round->end; i++) elements += o->plan->items[i].job.extent.count;
    if (round->pieces == 0) return;
    round->tasks = threads * TASKS_A_THREAD < round->pieces ? threads * TASKS_A_THREAD : round->pieces;
    if (threads == 1 || elements < ALONE) round->tasks = 1;
    if (round->tasks == 1) {
        run_slice(0, round);
    } else if (o->config.run) {
        o->busy = 1;
        o->config.run(o->config.pool, round->tasks, run_slice, round);
        o->busy = 0;
    } else eden_threads_run(o->threads, round->tasks, run_slice, round);
}

static void run_pass(const eden_item *item, size_t piece, void *round)
{
    (void)round;
    eden_job_run(&item->job, item->pass, item->own + piece);
}

/* The n-th pass of the program that exists for this item, or SIZE_MAX. */
static size_t nth_pass(const eden_job *job, eden_program program, size_t n)
{
    for (size_t p = 0; p < job->rule->pass_count; p++)
        if (eden_job_has(job, p, program) && n-- == 0) return p;
    return SIZE_MAX;
}

static void run_wave(eden_optimizer *o, eden_program program, size_t begin, size_t end)
{
    eden_plan *plan = o->plan;
    for (size_t n = 0;; n++) {
        eden_round round = { .o = o, .begin = begin, .end = end, .run = run_pass };
        size_t live = 0;
        for (size_t i = begin; i < end; i++) {
            eden_item *item = &plan->items[i];
            plan->first[i] = round.pieces;
            item->pass = item->active ? nth_pass(&item->job, program, n) : SIZE_MAX;
            if (item->pass == SIZE_MAX) continue;
            round.pieces += eden_job_own(&item->job, item->pass, &item->own);
            live++;
        }
        if (!live) return;
        run_round(&round);
        if (o->backend && !eden_exchange_sums(o, begin, end)) return;
        for (size_t i = begin; i < end; i++)
            if (plan->items[i].pass != SIZE_MAX) eden_job_fold(&plan->items[i].job, plan->items[i].pass);
    }
}

static int same_extent(eden_extent a, eden_extent b)
{
    return a.rows == b.rows && a.cols == b.cols && a.matrices == b.matrices;
}

/* Constants are prepared once for each distinct (group, step, extent) in a row. */
static void prepare(eden_optimizer *o, size_t i)
{
    eden_plan *plan = o->plan;
    eden_item *item = &plan->items[i];
    const eden_entry *entry = &o->tensors[item->entry];
    const eden_group *group = &o->groups[entry->group];
    const size_t latest = plan->latest[entry->group]; /* an item's number plus 1 */
    if (latest) {
        const eden_item *other = &plan->items[latest - 1];
        item->job.consts = other->job.consts;
        if (o->tensors[other->entry].steps == entry->steps &&
            same_extent(other->job.extent, item->job.extent))
            return;
    }
    unsigned char *consts = plan->consts + i * EDEN_MAX_CONSTS;
    group->rule->prepare(consts, group->now, entry->steps + 1, entry->extent);
    item->job.consts = consts;
    plan->latest[entry->group] = i + 1;
}

static void attach(eden_optimizer *o, eden_program program, size_t i, const eden_grad_scale *scale)
{
    eden_item *item = &o->plan->items[i];
    const eden_entry *entry = &o->tensors[item->entry];
    item->job.base[1] = entry->tensor.grad;
    item->job.grad = *scale;
    item->storage.key = o->config.seed ^ entry->hash * 0x9e3779b97f4a7c15u ^ (entry->steps + 1);
    eden_follow_average(o, entry, program, &item->storage);
    prepare(o, i);
}

void eden_run_program(eden_optimizer *o, eden_program program, int (*wants)(const eden_entry *entry),
                      const eden_grad_scale *scale)
{
    eden_plan *plan = o->plan;
    eden_float_env saved;
    eden_float_enter(&saved);
    for (size_t g = 0; g < o->group_count; g++) plan->latest[g] = 0;
    for (size_t i = 0; i < plan->count; i++) {
        plan->items[i].active = wants(&o->tensors[plan->items[i].entry]);
        if (plan->items[i].active) attach(o, program, i, scale);
    }
    for (size_t begin = 0, end; begin < plan->count && !o->broken.status; begin = end) {
        end = begin + 1;
        while (end < plan->count && !plan->items[end].begins_wave) end++;
        run_wave(o, program, begin, end);
    }
    eden_float_leave(&saved);
}

void eden_run_item(eden_optimizer *o, size_t item, const eden_grad_scale *scale)
{
    eden_float_env saved;
    eden_float_enter(&saved);
    o->plan->items[item].active = 1;
    attach(o, EDEN_STEP, item, scale);
    run_wave(o, EDEN_STEP, item, item + 1);
    eden_float_leave(&saved);
}

/* ---- scanning ------------------------------------------------------------------------------------ */

/* Elements [at, at + n) of a gradient as floats: in place, or decoded into `room`. */
static const real *gradient_block(const eden_optimizer *o, const eden_entry *entry, size_t at, size_t n,
                                  real *room)
{
    const uint32_t codec = eden_codec_of(entry->tensor.grad_dtype, 0);
    const char *stored = (const char *)entry->tensor.grad + eden_codec_bytes(codec, at);
    if (codec == EDEN_CODEC_F32) return (const real *)(const void *)stored;
    eden_codecs[o->isa][codec].load(stored, NULL, room, n);
    return room;
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }

/* Scans take the pieces of passes, so that a shard has whole ones. */
static void scan_piece(const eden_item *item, size_t piece, void *job)
{
    const eden_round *round = job;
    const eden_optimizer *o = round->o;
    const eden_entry *entry = &o->tensors[item->entry];
    const size_t begin = (size_t)eden_job_piece_at(&item->job, item->own + piece);
    const size_t end = (size_t)eden_job_piece_at(&item->job, item->own + piece + 1);
    const size_t stride = entry->tensor.grad_dtype == EDEN_F32 ? EDEN_CHUNK : EDEN_BLOCK;
    eden_scan *all = &o->plan->scans[o->plan->first[item - o->plan->items] + piece], one;
    _Alignas(64) real room[EDEN_BLOCK];
    *all = (eden_scan){ 0, 0 };
    for (size_t at = begin; at < end; at += stride) {
        const size_t n = at_most(stride, end - at);
        eden_scans[o->isa](gradient_block(o, entry, at, n, room), n, round->scale, round->want_norm, &one);
        all->norm2 += one.norm2;
        all->top = one.top > all->top ? one.top : all->top;
    }
}

size_t eden_find_gradient(const eden_optimizer *o, const eden_entry *entry, uint32_t above, float *value)
{
    const size_t end = (size_t)entry->last;
    real room[EDEN_BLOCK];
    for (size_t at = (size_t)entry->first; at < end; at += EDEN_BLOCK) {
        const size_t n = at_most(EDEN_BLOCK, end - at);
        const real *g = gradient_block(o, entry, at, n, room);
        const size_t i = eden_scan_find(g, n, above);
        if (i == n) continue;
        *value = g[i];
        return at + i;
    }
    return (size_t)entry->extent.count;
}

eden_gradients eden_scan_gradients(eden_optimizer *o, const eden_grad_scale *scale, int want_norm)
{
    eden_plan *plan = o->plan;
    eden_round round = { .o = o, .end = plan->count, .scale = scale, .want_norm = want_norm,
                         .run = scan_piece };
    eden_gradients all = { 0, 0 };
    size_t pieces = 0; /* of all ranks */
    eden_float_env saved;
    for (size_t i = 0; i < plan->count; i++) {
        eden_item *item = &plan->items[i];
        const eden_entry *entry = &o->tensors[item->entry];
        plan->first[i] = round.pieces;
        item->own = eden_job_piece_of(&item->job, entry->first);
        item->active = entry->tensor.grad != NULL;
        if (!item->active) continue;
        round.pieces += eden_job_piece_of(&item->job, entry->last) - item->own;
        pieces += eden_job_piece_of(&item->job, entry->extent.count);
    }
    run_round(&round);
    if (o->backend && !eden_exchange_scans(o)) return all;
    eden_float_enter(&saved);
    for (size_t k = 0; k < pieces; k++) {
        all.norm2 += plan->scans[k].norm2;
        all.top = plan->scans[k].top > all.top ? plan->scans[k].top : all.top;
    }
    eden_float_leave(&saved);
    return all;
}
