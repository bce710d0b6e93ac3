/* shard.c - which part of a tensor each rank runs, and what ranks tell each other. */
#include "optimizer/shard.h"

#include <stdlib.h>
#include <string.h>

#include "optimizer/text.h"

/* ---- the backend ---------------------------------------------------------------------- */

eden_status eden_attach_backend(eden_optimizer *o, eden_backend *backend, eden_error *error)
{
    if (o->tensor_count || o->backend)
        return eden_fail(error, EDEN_E_ORDER, "a backend is attached before any tensor, and once");
    o->backend = backend;
    return EDEN_OK;
}

eden_backend *eden_backend_of(const eden_optimizer *o) { return o ? o->backend : NULL; }

uint64_t eden_backend_tensor(const eden_optimizer *o, size_t i, eden_tensor *tensor)
{
    *tensor = o->tensors[i].tensor;
    return o->tensors[i].extent.count;
}

void eden_backend_convert(const eden_optimizer *o, void *to, uint32_t to_dtype, const void *from,
                          uint32_t from_dtype, uint64_t count)
{
    _Alignas(64) real block[EDEN_BLOCK];
    const uint32_t in = eden_codec_of(from_dtype, 0), out = eden_codec_of(to_dtype, 0);
    eden_float_env saved;
    eden_float_enter(&saved);
    for (uint64_t i = 0; i < count; i += EDEN_BLOCK) {
        const size_t n = (size_t)(count - i < EDEN_BLOCK ? count - i : EDEN_BLOCK);
        eden_codecs[o->isa][in].load((const char *)from + eden_codec_bytes(in, i), NULL, block, n);
        eden_codecs[o->isa][out].store(block, (char *)to + eden_codec_bytes(out, i), NULL, n);
    }
    eden_float_leave(&saved);
}

size_t eden_backend_find(const eden_optimizer *o, const char *name) { return eden_find_tensor(o, name); }

int eden_backend_steps_next(const eden_optimizer *o)
{
    return !o->stale && !o->broken.status && o->pending + o->backend->counts >= o->config.accumulate;
}

uint32_t eden_backend_pending(const eden_optimizer *o) { return o->pending; }
int eden_backend_refused(const eden_optimizer *o) { return o->refused; }

uint64_t eden_shard_version(const eden_optimizer *o) { return o->cut_version; }
uint64_t eden_settings_version(const eden_optimizer *o) { return o->refreshes; }

uint64_t eden_shard_at(const eden_optimizer *o, size_t i, uint32_t rank)
{
    return o->cuts[i * ((size_t)o->backend->ranks + 1) + rank];
}

eden_status eden_not_sharded(const eden_optimizer *o, const char *call, eden_error *error)
{
    if (!o->backend) return EDEN_OK;
    return eden_fail(error, EDEN_E_ORDER, "%s: each of %u ranks has a part of this optimizer's state, and the call "
                     "is for one process that has all", call, o->backend->ranks);
}

eden_status eden_not_broken(const eden_optimizer *o, eden_error *error)
{
    if (!o->broken.status) return EDEN_OK;
    return eden_fail(error, (eden_status)o->broken.status, "%s", o->broken.text);
}

static int breaks(eden_optimizer *o, eden_status status)
{
    if (status) o->broken.status = status;
    return status != EDEN_OK;
}

eden_status eden_share_weights(eden_optimizer *o, eden_error *error)
{
    if (!o->backend) return EDEN_OK;
    if (!o->broken.status) breaks(o, o->backend->end(o->backend, o, &o->broken));
    return eden_not_broken(o, error);
}

/* ---- shards --------------------------------------------------------------------------- */

typedef struct { uint64_t elements, rank; } rank_load;

static int by_load(const void *a, const void *b)
{
    const rank_load *x = a, *y = b;
    if (x->elements != y->elements) return x->elements < y->elements ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Cut one tensor: every rank has as many pieces as any other, and those that are left
 * over go to the ranks with the fewest elements so far. Tensors that are added later
 * thus leave the shards of earlier ones alone. */
static void cut_tensor(const eden_optimizer *o, size_t i, rank_load *loads, unsigned char *more, uint64_t *cut)
{
    const eden_entry *entry = &o->tensors[i];
    const eden_group *group = &o->groups[entry->group];
    const uint32_t ranks = o->backend->ranks;
    const uint64_t count = entry->tensor.flags & EDEN_FROZEN ? 0 : entry->extent.count;
    eden_job job;
    eden_job_init(&job, group->rule, o->isa, group->struc, entry->extent);
    const uint64_t pieces = count ? eden_job_piece_of(&job, count) : 0;
    const uint64_t share = pieces / ranks, left = pieces % ranks;
    if (left) qsort(loads, ranks, sizeof *loads, by_load);
    memset(more, 0, ranks);
    for (uint64_t k = 0; k < left; k++) more[loads[k].rank] = 1;
    uint64_t piece = 0;
    for (uint32_t r = 0; r <= ranks; r++) {
        cut[r] = piece == pieces ? count : eden_job_piece_at(&job, (size_t)piece);
        if (r < ranks) piece += share + more[r];
    }
    for (uint32_t k = 0; k < ranks; k++) loads[k].elements += cut[loads[k].rank + 1] - cut[loads[k].rank];
}

/* Has the tensor state that lies where shards were? */
static int has_full_state(const eden_optimizer *o, const eden_entry *entry)
{
    for (size_t k = 0; k < EDEN_ARRAYS; k++)
        if (entry->array[k].data && eden_array_is_full(o->groups[entry->group].rule, k)) return 1;
    return 0;
}

static eden_status take_cuts(eden_optimizer *o, const uint64_t *cuts, eden_error *error)
{
    const uint32_t rank = o->backend->rank;
    const size_t stride = (size_t)o->backend->ranks + 1;
    for (size_t i = 0; i < o->cut_count; i++)
        if (memcmp(cuts + i * stride, o->cuts + i * stride, stride * sizeof *cuts) != 0 && o->steps)
            return eden_fail(error, EDEN_E_ORDER, "the settings cut the tensor '%s' otherwise than those its state "
                             "was made with, and ranks would have to exchange it; keep what decides which "
                             "matrices are factored", o->tensors[i].name);
    for (size_t i = 0; i < o->tensor_count; i++) {
        eden_entry *entry = &o->tensors[i];
        const uint64_t first = cuts[i * stride + rank], last = cuts[i * stride + rank + 1];
        if (first != entry->first && has_full_state(o, entry))
            return eden_fail(error, EDEN_E_ORDER, "the state of '%s' would have to move to another rank", entry->name);
        entry->first = first;
        entry->last = last;
    }
    return EDEN_OK;
}

eden_status eden_cut_tensors(eden_optimizer *o, eden_error *error)
{
    if (!o->backend) return EDEN_OK;
    const uint32_t ranks = o->backend->ranks;
    const size_t stride = (size_t)ranks + 1;
    rank_load *loads = eden_alloc(ranks, sizeof *loads);
    unsigned char *more = eden_alloc(ranks, 1);
    uint64_t *cuts = eden_alloc((uint64_t)o->tensor_count * stride, sizeof *cuts);
    eden_status status = EDEN_OK;
    if (!loads || !more || !cuts) status = eden_fail(error, EDEN_E_MEMORY, "no memory to cut the tensors into shards");
    for (uint32_t r = 0; r < ranks && !status; r++) loads[r].rank = r;
    for (size_t i = 0; i < o->tensor_count && !status; i++) cut_tensor(o, i, loads, more, cuts + i * stride);
    if (!status) status = take_cuts(o, cuts, error);
    free(loads);
    free(more);
    const uint64_t bytes = (uint64_t)o->tensor_count * stride * sizeof *cuts;
    if (status || (o->cuts && o->cut_count == o->tensor_count && memcmp(o->cuts, cuts, (size_t)bytes) == 0)) {
        free(cuts);
        return status;
    }
    free(o->cuts);
    o->cuts = cuts;
    o->cut_count = o->tensor_count;
    o->cut_version++;
    return EDEN_OK;
}

/* ---- sums ------------------------------------------------------------------------------- */

/* Does the pass add to slot s what has to be exchanged? */
static int adds_to(const eden_job *job, size_t pass, size_t s)
{
    return job->rule->passes[pass].domain == EDEN_FULL && (job->rule->passes[pass].writes >> s & 1) &&
           job->rule->slots[s].kind == EDEN_SUM;
}

/* Copy a rank's parts to or from `bytes`; returns how many bytes, and with NULL only that. */
static uint64_t move_sums(const eden_optimizer *o, size_t begin, size_t end, uint32_t rank, unsigned char *bytes,
                          int out)
{
    uint64_t used = 0;
    for (size_t i = begin; i < end; i++) {
        const eden_item *item = &o->plan->items[i];
        const eden_job *job = &item->job;
        if (item->pass == SIZE_MAX || !job->extent.count) continue;
        const uint64_t first = eden_shard_at(o, item->entry, rank), last = eden_shard_at(o, item->entry, rank + 1);
        for (size_t s = 0; s < job->rule->slot_count && first < last; s++) {
            if (!adds_to(job, item->pass, s)) continue;
            const eden_job_sums part = eden_job_sums_of(job, s, eden_job_piece_of(job, first), eden_job_piece_of(job, last));
            const size_t n = part.count * sizeof *part.at;
            if (bytes && out) memcpy(bytes + used, part.at, n);
            else if (bytes) memcpy(part.at, bytes + used, n);
            used += n;
        }
    }
    return used;
}

static int trade(eden_optimizer *o, uint64_t *total)
{
    eden_plan *plan = o->plan;
    eden_backend *backend = o->backend;
    *total = 0;
    for (uint32_t r = 0; r < backend->ranks; r++) *total += plan->bytes[r];
    if (*total == 0) return 1;
    return !breaks(o, backend->exchange(backend, plan->mine, plan->all, plan->bytes, &o->broken));
}

int eden_exchange_sums(eden_optimizer *o, size_t begin, size_t end)
{
    eden_plan *plan = o->plan;
    uint64_t total, at = 0;
    if (o->backend->ranks == 1) return 1;
    for (uint32_t r = 0; r < o->backend->ranks; r++) plan->bytes[r] = move_sums(o, begin, end, r, NULL, 1);
    move_sums(o, begin, end, o->backend->rank, plan->mine, 1);
    if (!trade(o, &total)) return 0;
    for (uint32_t r = 0; r < o->backend->ranks && total; r++) {
        if (r != o->backend->rank) move_sums(o, begin, end, r, plan->all + at, 0);
        at += plan->bytes[r];
    }
    return 1;
}

/* ---- scans and gradients ---------------------------------------------------------------- */

/* A rank's scans to or from `bytes`, as eden_scan is. Those of this rank alone lie one
 * behind the other, as they were made; in `all` every item's lie in the order of pieces. */
static uint64_t scans_of(const eden_optimizer *o, const eden_item *item, uint32_t rank)
{
    const uint64_t first = eden_shard_at(o, item->entry, rank), last = eden_shard_at(o, item->entry, rank + 1);
    return item->active ? eden_job_piece_of(&item->job, last) - eden_job_piece_of(&item->job, first) : 0;
}

int eden_exchange_scans(eden_optimizer *o)
{
    eden_plan *plan = o->plan;
    const uint32_t ranks = o->backend->ranks;
    uint64_t total, at = 0;
    if (ranks == 1) return 1;
    memset(plan->bytes, 0, ranks * sizeof *plan->bytes);
    for (uint32_t r = 0; r < ranks; r++)
        for (size_t i = 0; i < plan->count; i++) plan->bytes[r] += scans_of(o, &plan->items[i], r) * sizeof *plan->scans;
    memcpy(plan->mine, plan->scans, (size_t)plan->bytes[o->backend->rank]);
    if (!trade(o, &total)) return 0;
    for (uint32_t r = 0; r < ranks; r++) {
        uint64_t base = 0;
        for (size_t i = 0; i < plan->count; i++) {
            const eden_item *item = &plan->items[i];
            const uint64_t piece = eden_job_piece_of(&item->job, eden_shard_at(o, item->entry, r));
            const uint64_t n = scans_of(o, item, r);
            if (n) memcpy(plan->scans + base + piece, plan->all + at, (size_t)n * sizeof *plan->scans);
            at += n * sizeof *plan->scans;
            base += item->active ? eden_job_piece_of(&item->job, item->job.extent.count) : 0;
        }
    }
    return 1;
}

void eden_first_of_ranks(eden_optimizer *o, eden_bad_gradient *bad)
{
    uint64_t total;
    if (!o->backend || o->backend->ranks == 1) return;
    const uint32_t ranks = o->backend->ranks;
    for (uint32_t r = 0; r < ranks; r++) o->plan->bytes[r] = sizeof *bad;
    memcpy(o->plan->mine, bad, sizeof *bad);
    if (!trade(o, &total)) return;
    for (uint32_t r = 0; r < ranks; r++) {
        eden_bad_gradient other;
        memcpy(&other, o->plan->all + r * sizeof other, sizeof other);
        if (other.item < bad->item || (other.item == bad->item && other.element < bad->element)) *bad = other;
    }
}

void eden_zero_others(const eden_optimizer *o)
{
    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_entry *entry = &o->tensors[i];
        const uint32_t codec = eden_codec_of(entry->tensor.grad_dtype, 0);
        const uint64_t first = eden_codec_bytes(codec, entry->first), last = eden_codec_bytes(codec, entry->last);
        char *grad = entry->tensor.grad;
        if (!grad) continue;
        memset(grad, 0, (size_t)first);
        memset(grad + last, 0, (size_t)(eden_codec_bytes(codec, entry->extent.count) - last));
    }
}

/* ---- room ------------------------------------------------------------------------------- */

/* The most that any pass of an item exchanges, of all ranks. */
static uint64_t most_sums(const eden_item *item)
{
    const eden_job *job = &item->job;
    uint64_t most = 0;
    for (size_t p = 0; p < job->rule->pass_count && job->extent.count; p++) {
        uint64_t bytes = 0;
        if (!(job->passes >> p & 1)) continue;
        for (size_t s = 0; s < job->rule->slot_count; s++)
            if (adds_to(job, p, s)) bytes += eden_job_sums_of(job, s, 0, eden_job_pieces(job, p)).count * sizeof(double);
        most = bytes > most ? bytes : most;
    }
    return most;
}

int eden_make_room_for_sums(const eden_optimizer *o, eden_plan *plan)
{
    if (!o->backend || o->backend->ranks == 1) return 1;
    const uint32_t ranks = o->backend->ranks;
    uint64_t most = 0, wave = 0, scans = (uint64_t)plan->chunks * sizeof *plan->scans;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->items[i].begins_wave) wave = 0;
        wave += most_sums(&plan->items[i]);
        most = wave > most ? wave : most;
    }
    most = scans > most ? scans : most;
    most = ranks * sizeof(eden_bad_gradient) > most ? ranks * sizeof(eden_bad_gradient) : most;
    plan->mine = eden_alloc(most, 1);
    plan->all = eden_alloc(most, 1);
    plan->bytes = eden_alloc(ranks, sizeof *plan->bytes);
    return plan->mine && plan->all && plan->bytes;
}
