/* plan.c - who runs which chunk of which tensor.
 *
 * The tensors that are updated become items in the order they were added. Items
 * are gathered in waves; the passes of a wave's items run in rounds, one after
 * another, with all threads on all pieces of a round. A wave is small enough to
 * stay in the cache between its rounds, and large enough to keep threads busy;
 * rules of a single pass need no cache and share one wave. */
#include "optimizer/plan.h"

#include <stdlib.h>

#include "optimizer/shard.h"
#include "optimizer/text.h"

#define WAVE_ELEMENTS (1u << 18)

void eden_free_plan(eden_plan *plan)
{
    if (!plan) return;
    free(plan->items);
    free(plan->consts);
    free(plan->first);
    free(plan->latest);
    free(plan->scans);
    free(plan->work);
    free(plan->written);
    free(plan->mine);
    free(plan->all);
    free(plan->bytes);
    free(plan);
}

int eden_has_lookahead(const eden_optimizer *o)
{
    for (size_t i = 0; i < o->plan->count; i++) {
        const eden_item *item = &o->plan->items[i];
        for (size_t p = 0; p < item->job.rule->pass_count; p++)
            if (eden_job_has(&item->job, p, EDEN_BEFORE)) return 1;
    }
    return 0;
}

/* ---- making a plan ----------------------------------------------------------------- */

static size_t passes_of(const eden_job *job)
{
    size_t n = 0;
    for (size_t p = 0; p < job->rule->pass_count; p++) n += (size_t)eden_job_has(job, p, EDEN_STEP);
    return n;
}

/* Does an item that follows `elements` others, here, of a wave begin a new one? The
 * waves of all ranks are the same. */
static int begins_wave(uint64_t elements, uint64_t most, size_t longest, const eden_item *item)
{
    const size_t passes = passes_of(&item->job);
    return elements > 0 && (passes > longest ? passes : longest) > 1 &&
           elements + item->job.extent.count > most;
}

/* Group items in waves and give each item its part of the wave's workspace. With
 * work NULL only measure it; UINT64_MAX if that overflows. */
static uint64_t lay_out_waves(const eden_optimizer *o, eden_plan *plan, char *work)
{
    const uint64_t wave = WAVE_ELEMENTS * (uint64_t)(o->backend ? o->backend->ranks : 1);
    uint64_t most = 0, used = 0, elements = 0;
    size_t longest = 0;
    for (size_t i = 0; i < plan->count; i++) {
        eden_item *item = &plan->items[i];
        item->begins_wave = i == 0 || begins_wave(elements, wave, longest, item);
        if (item->begins_wave) used = elements = 0, longest = 0;
        elements += item->job.extent.count;
        longest = passes_of(&item->job) > longest ? passes_of(&item->job) : longest;
        const uint64_t bytes = eden_job_lay_out(&item->job, work ? work + used : NULL);
        if (bytes == UINT64_MAX || __builtin_add_overflow(used, bytes, &used)) return UINT64_MAX;
        most = used > most ? used : most;
    }
    return most;
}

static eden_plan *make_plan(const eden_optimizer *o)
{
    eden_plan *plan = eden_alloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->items = eden_alloc(o->tensor_count, sizeof *plan->items);
    plan->consts = eden_alloc(o->tensor_count, EDEN_MAX_CONSTS);
    plan->first = eden_alloc((uint64_t)o->tensor_count + 1, sizeof *plan->first);
    plan->latest = eden_alloc(o->group_count, sizeof *plan->latest);
    if (!plan->items || !plan->consts || !plan->first || !plan->latest) goto failed;

    for (size_t i = 0; i < o->tensor_count; i++) {
        const eden_entry *entry = &o->tensors[i];
        const eden_group *group = &o->groups[entry->group];
        if (entry->tensor.flags & EDEN_FROZEN) continue;
        eden_item *item = &plan->items[plan->count++];
        item->entry = i;
        eden_job_init(&item->job, group->rule, o->isa, group->struc, entry->extent);
        eden_job_take(&item->job, entry->first, entry->last);
        plan->chunks += eden_job_piece_of(&item->job, entry->extent.count);
    }
    plan->scans = eden_alloc(plan->chunks, sizeof *plan->scans);
    const uint64_t bytes = lay_out_waves(o, plan, NULL);
    if (bytes != UINT64_MAX) plan->work = eden_alloc(bytes, 1);
    if (!plan->scans || !plan->work || !eden_make_room_for_sums(o, plan)) goto failed;
    lay_out_waves(o, plan, plan->work);
    return plan;
failed:
    eden_free_plan(plan);
    return NULL;
}

/* What of a tensor stays where it is until the next plan. */
static void settle_plan(const eden_optimizer *o, eden_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        eden_item *item = &plan->items[i];
        const eden_entry *entry = &o->tensors[item->entry];
        void *master = eden_array_base(entry, item->job.rule, EDEN_ARRAY_MASTER);
        o->tensors[item->entry].item = i;
        item->job.base[0] = master ? master : entry->tensor.data;
        for (size_t s = 2; s < item->job.rule->slot_count; s++)
            if (entry->array[s].data) item->job.base[s] = eden_array_base(entry, item->job.rule, s);
        eden_storage_of(o, entry, &item->storage);
        eden_job_store(&item->job, &item->storage);
    }
}

/* Do the slots and passes that exist under the settings of now make the plan that there
 * is? Values then reach the kernels with the constants of each step, and memory, storage
 * and overlaps are as they were checked. */
static int plan_holds(const eden_optimizer *o)
{
    for (size_t i = 0; i < o->plan->count; i++) {
        const eden_job *job = &o->plan->items[i].job;
        const double *struc = o->groups[o->tensors[o->plan->items[i].entry].group].struc;
        if (job->slots != job->rule->slots_on(struc, job->extent) ||
            job->passes != job->rule->passes_on(struc, job->extent))
            return 0;
    }
    return 1;
}

static eden_status refresh(eden_optimizer *o, eden_error *error)
{
    eden_status status = eden_resolve(o, error);
    if (!status && o->stale == EDEN_STALE_VALUES && plan_holds(o)) {
        o->stale = 0;
        return EDEN_OK;
    }
    if (!status) status = eden_check_storage(o, error);
    struct eden_span *written = NULL;
    size_t spans = 0, count = 0;
    if (!status) status = eden_check_overlaps(o, &written, &spans, error);
    if (!status) status = eden_cut_tensors(o, error);
    eden_plan *plan = status ? NULL : make_plan(o);
    if (plan) plan->written = written, plan->written_count = spans;
    else free(written);
    if (status) return status;

    eden_array *fresh = NULL;
    if (!plan || !eden_allocate_state(o, &fresh, &count)) {
        eden_free_plan(plan);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the optimizer's state");
    }
    eden_settle_state(o, fresh);
    free(fresh);
    settle_plan(o, plan);
    eden_free_plan(o->plan);
    o->plan = plan;
    o->stale = 0;
    return EDEN_OK;
}

/* Settings are compared, which a caller's flush to zero must not decide. */
eden_status eden_refresh(eden_optimizer *o, eden_error *error)
{
    eden_float_env saved;
    eden_status status = EDEN_OK;
    if (o->stale) {
        eden_float_enter(&saved);
        status = refresh(o, error);
        if (!status) o->refreshes++;
        eden_float_leave(&saved);
    }
    if (!status && o->moved) status = eden_check_gradients(o, error);
    if (!status) o->moved = 0;
    return status;
}
