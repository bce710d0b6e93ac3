/* train_step.c - one step of a run: its batches, or the parts of them that are this rank's. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "lab/random.h"
#include "lab/train_run.h"

/* What random numbers under a run's seed are for; others count from 1. */
enum { ORDER = 0x6f72 };

double lab_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the order of the data -------------------------------------------------------- */

/* A permutation that is a function of seed and epoch alone, so that a resumed run
 * needs to know no more. */
static void shuffle(lab_run *run, uint64_t epoch)
{
    const uint64_t key = lab_random_key(run->config.seed, ORDER), n = run->problem->examples;
    if (!n || run->order_epoch == epoch) return;
    for (uint32_t i = 0; i < n; i++) run->order[i] = i;
    for (uint32_t i = (uint32_t)n - 1; i > 0; i--) {
        const uint64_t k = lab_random_below(key, epoch * n + i, (uint64_t)i + 1);
        const uint32_t other = run->order[k];
        run->order[k] = run->order[i];
        run->order[i] = other;
    }
    run->order_epoch = epoch;
}

/* ---- a batch ------------------------------------------------------------------------- */

eden_status lab_run_diverged(const lab_run *run, double lr, const char *why, eden_error *error)
{
    return lab_fail(error, EDEN_E_GRADIENT, "training diverged at step %llu: %.300s; lower the "
                    "learning rate (lr is %g)", (unsigned long long)run->progress.step + 1, why, lr);
}

/* Batches of a step. */
static uint64_t each_of(const lab_run *run) { return run->config.accumulate > 1 ? run->config.accumulate : 1; }

static eden_status begin_step(lab_run *run, eden_error *error)
{
    eden_status status = EDEN_OK;
    if (run->config.storage.grad_dtype == EDEN_F32)
        status = eden_zero_grad(run->optimizer, error);
    else
        run->problem->kind->zero_grads(run->problem);
    if (status || !run->lookahead) return status;
    status = eden_lookahead_begin(run->optimizer, error);
    if (!status) run->problem->kind->widen(run->problem);
    return status;
}

/* Gradients that are stored in 16 bits are rounded once, when all are added up. */
static eden_status update(lab_run *run, int last, double lr, eden_error *error)
{
    eden_error why = { 0, "" };
    if (last) run->problem->kind->narrow_grads(run->problem);
    const double before = lab_now();
    const eden_status status = eden_step(run->optimizer, &why);
    run->progress.optimizer_seconds += lab_now() - before;
    if (last && !status) run->problem->kind->widen(run->problem);
    if (status == EDEN_E_GRADIENT) return lab_run_diverged(run, lr, why.text, error);
    return status ? lab_fail(error, status, "%s", why.text) : EDEN_OK;
}

/* ---- parts of a batch ---------------------------------------------------------------- */

static uint32_t parts_of(const lab_run *run)
{
    return run->config.parts ? run->config.parts : lab_ranks_count(run->config.ranks);
}

static eden_status check_parts(const lab_run *run, eden_error *error)
{
    const lab_config *c = &run->config;
    const unsigned long parts = c->parts, ranks = lab_ranks_count(c->ranks);
    if (parts % ranks)
        return lab_fail(error, EDEN_E_VALUE, "parts = %lu are not shared evenly by %lu ranks; take a multiple of "
                        "%lu", parts, ranks, ranks);
    if (c->accumulate > UINT32_MAX / c->parts)
        return lab_fail(error, EDEN_E_VALUE, "%lu batches of %lu parts are more than a step can add",
                        (unsigned long)c->accumulate, parts);
    if (c->storage.grad_dtype != EDEN_F32)
        return lab_fail(error, EDEN_E_VALUE, "the gradients of parts are added as they are stored, in f32: leave "
                        "out grad-dtype, or parts");
    if (lab_problem_needs_whole(run->problem))
        return lab_fail(error, EDEN_E_VALUE, "batch normalization looks at a whole batch, and by parts would be "
                        "another: take the norm 'layer' or 'none', or leave out parts");
    return EDEN_OK;
}

eden_status lab_run_make_parts(lab_run *run, eden_error *error)
{
    const lab_config *c = &run->config;
    run->heard = calloc(lab_ranks_count(c->ranks), sizeof *run->heard);
    if (!run->heard) return lab_fail(error, EDEN_E_MEMORY, "no memory for what the ranks say");
    const eden_status status = c->parts ? check_parts(run, error) : EDEN_OK;
    if (status || !c->parts || c->ranks) return status;
    run->sum = calloc((size_t)lab_problem_add_part(run->problem, NULL, 0, 0), sizeof *run->sum);
    return run->sum ? EDEN_OK : lab_fail(error, EDEN_E_MEMORY, "no memory for the gradients of parts");
}

/* What the ranks learned joins the sums in their order; if one of them failed, all did. */
static eden_status hear(lab_run *run, const lab_heard *mine, lab_sums *sums, eden_error *error)
{
    const lab_ranks *ranks = run->config.ranks;
    uint64_t failed = mine->status;
    if (!ranks) run->heard[0] = *mine;
    else if (ranks->gather(mine, run->heard, sizeof *mine, error)) return EDEN_E_IO;
    for (uint32_t r = 0; r < lab_ranks_count(ranks); r++) {
        sums->loss += run->heard[r].sums.loss;
        sums->metric += run->heard[r].sums.metric;
        sums->rows += run->heard[r].sums.rows;
        failed |= run->heard[r].status;
    }
    return failed ? lab_ranks_agree(ranks, (eden_status)mine->status, error) : EDEN_OK;
}

/* A part of a batch, and the optimizer's share of it; the sums grow. Backward would add each of
 * its sums to what is there, and ranks add whole gradients: so does a process alone. */
static eden_status take_part(lab_run *run, const lab_turn *turn, int first, int last, lab_sums *sums,
                             double lr, eden_error *error)
{
    lab_heard mine = { { 0 }, EDEN_OK };
    mine.status = run->problem->kind->learn(run->problem, turn, &mine.sums, error);
    const eden_status status = hear(run, &mine, sums, error);
    if (status) return status;
    if (!isfinite(sums->loss))
        return lab_run_diverged(run, lr, isnan(sums->loss) ? "the loss is not a number" : "the loss is infinite",
                                error);
    if (run->sum) lab_problem_add_part(run->problem, run->sum, first, last);
    return update(run, last, lr, error);
}

/* The `i`-th batch of a step. Of W ranks each has every W-th part. */
static eden_status take_batch(lab_run *run, lab_turn turn, uint64_t i, lab_sums *sums, double lr,
                              eden_error *error)
{
    lab_sums all = { 0 };
    eden_status status = EDEN_OK;
    const uint32_t ranks = lab_ranks_count(run->config.ranks);
    turn.parts = parts_of(run);
    turn.ranks = run->config.parts ? NULL : run->config.ranks;
    for (uint32_t k = 0; !status && k < turn.parts; k += ranks) {
        turn.part = k + lab_ranks_rank(run->config.ranks);
        turn.again = k > 0;
        const int last = i + 1 == each_of(run) && k + ranks == turn.parts;
        status = take_part(run, &turn, !i && !k, last, &all, lr, error);
    }
    if (turn.parts > 1 && run->problem->perplexity && all.rows)
        all.metric = exp(all.loss / (double)all.rows) * (double)all.rows;
    sums->loss += all.loss;
    sums->metric += all.metric;
    sums->rows += all.rows;
    return status;
}

/* All batches of one step. At an epoch's end there may be fewer than `accumulate`:
 * those that are missing add nothing to the sum. */
eden_status lab_run_take_step(lab_run *run, eden_error *error)
{
    lab_progress *p = &run->progress;
    double lr = NAN;
    lab_sums sums = { 0 };
    const uint64_t each = each_of(run);
    const uint64_t index = p->step % run->epoch_steps, epoch = p->step / run->epoch_steps + 1;
    if (eden_get_at(run->optimizer, NULL, "lr", p->step + 1, &lr, NULL)) lr = NAN;
    shuffle(run, epoch);
    eden_status status = begin_step(run, error);
    for (uint64_t i = 0; !status && i < each; i++) {
        const lab_turn turn = { .epoch = epoch, .batch = index * each + i, .number = p->step * each + i + 1,
                                .order = run->order };
        status = take_batch(run, turn, i, &sums, lr, error);
    }
    if (status) return status;
    if (!index) run->loss_sum = 0, run->loss_rows = 0;
    run->loss_sum += sums.loss;
    run->loss_rows += sums.rows;
    p->step++;
    p->epoch = epoch;
    p->lr = lr;
    p->loss = sums.loss / (double)sums.rows;
    p->accuracy = run->problem->metric.name ? sums.metric / (double)sums.rows : NAN;
    p->train_loss = run->loss_sum / (double)run->loss_rows;
    p->grad_norm = eden_grad_norm(run->optimizer);
    p->state_bytes_per_weight =
        (double)eden_state_bytes(run->optimizer) / (double)run->problem->weights;
    return EDEN_OK;
}
