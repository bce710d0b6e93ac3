/* model.c - making a model, running it over a batch, and giving out its tensors. */
#include "lab/model.h"

#include "lab/data_parts.h"
#include "lab/gemm.h"
#include "lab/model_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below this many multiplications, waking a thread takes longer than it helps. */
static const uint64_t WORTH_THREADS = 4000000;

/* ---- one batch ---------------------------------------------------------------------- */

typedef struct {
    lab_model *model;
    const lab_program *program;
    uint32_t from, to;
} span;

static void run_block(void *job, size_t index, uint32_t worker)
{
    const span *s = job;
    lab_model *m = s->model;
    lab_batch *batch = &m->batch;
    lab_block block = { index, index * batch->block_rows, batch->count - index * batch->block_rows,
                        m->block_grads + index * m->summed, m->scratch + worker * m->scratch_count };
    if (block.rows > batch->block_rows) block.rows = batch->block_rows;
    if (s->from == 0) {
        const uint64_t first = block.first * m->features, n = block.rows * m->features;
        for (uint64_t i = first; i < first + n; i++)
            m->input[i] = batch->x ? (lab_real)batch->x[i] : batch->real_x[i];
    }
    for (uint32_t i = s->from; i < s->to; i++) {
        const lab_model_step *step = &s->program->step[i];
        if (step->each) step->each(step->layer, batch, &block);
    }
}

static void run_tasks(lab_model *m, uint64_t work, size_t tasks, lab_task task, void *job)
{
    if (work >= WORTH_THREADS) lab_workers_run(m->workers, tasks, task, job);
    else for (size_t i = 0; i < tasks; i++) task(job, i, 0);
}

/* Steps up to the next join run block by block, so that a block stays in cache. */
static void run_program(lab_model *m, const lab_program *program)
{
    const uint64_t work = m->work * m->batch.count * (m->batch.training ? 3 : 1);
    span s = { m, program, 0, 0 };
    while (s.from < program->steps) {
        const lab_model_step *last = NULL;
        while (s.to < program->steps && !(last && last->join)) last = &program->step[s.to++];
        run_tasks(m, work, m->batch.blocks, run_block, &s);
        if (last->join) last->join(last->layer, &m->batch);
        s.from = s.to;
    }
}

enum { PIECE = 16384 };

/* Add the blocks' gradients to the model's, in the order of the blocks. */
static void add_gradients(lab_model *m, size_t index)
{
    const uint64_t from = index * PIECE, left = m->summed - from, n = left < PIECE ? left : PIECE;
    lab_real *restrict sum = m->grads + from;
    for (uint64_t b = 0; b < m->batch.blocks; b++) {
        const lab_real *restrict part = m->block_grads + b * m->summed + from;
        for (uint64_t i = 0; i < n; i++) sum[i] += part[i];
    }
}

/* The part-th product of the large matrices' gradients. */
static void make_part(lab_model *m, uint64_t part)
{
    for (uint32_t i = 0; i < m->layers; i++) {
        lab_layer *l = &m->layer[i];
        if (!l->kind->weights) continue;
        const uint64_t rows = l->tensor[0].shape[0], parts = (rows - 1) / LAB_PART_ROWS + 1;
        if (part < parts) {
            const uint64_t first = part * LAB_PART_ROWS, left = rows - first;
            l->kind->weights(l, &m->batch, first, left < LAB_PART_ROWS ? left : LAB_PART_ROWS);
            return;
        }
        part -= parts;
    }
}

static void finish_gradients(void *job, size_t index, uint32_t worker)
{
    lab_model *m = job;
    (void)worker;
    if (index < m->parts) make_part(m, index);
    else add_gradients(m, index - m->parts);
}

/* Sums over the batch's blocks. */
static void finish_batch(const lab_batch *batch, double *loss, uint64_t *correct)
{
    for (uint64_t b = 0; b < batch->blocks; b++) {
        *loss += batch->loss[b];
        *correct += batch->correct[b];
    }
}

static void begin_batch(lab_model *m, const float *x, const int32_t *label, const float *target,
                        uint64_t count)
{
    m->batch.count = count;
    m->batch.loops = m->loops;
    m->batch.x = x;
    m->batch.label = label;
    m->batch.target = target;
    m->batch.before = m->part_before;
    m->batch.over = m->part_over > 0 ? m->part_over : (double)count;
    m->batch.ranks = NULL;
    m->batch.lost = EDEN_OK;
    lab_model_cut(m, count, &m->batch.blocks, &m->batch.block_rows);
}

/* ---- training and evaluation ------------------------------------------------------------ */

static eden_status check_rows(const lab_model *m, const float *x, const int32_t *label,
                              const float *target, uint64_t count, eden_error *error)
{
    if (count == 0) return data_fail(error, EDEN_E_ARGUMENT, "there are no rows for the model");
    if (!x) return data_fail(error, EDEN_E_ARGUMENT, "there are no features for the model");
    if (!m->given && (m->classes ? !label : !target))
        return data_fail(error, EDEN_E_ARGUMENT, "the model needs %s",
                         m->classes ? "labels, and there are none" : "targets, and there are none");
    for (uint64_t i = 0; m->tokens && i < count; i++)
        if (!(x[i] >= 0 && x[i] < (float)m->tokens && x[i] == floorf(x[i])))
            return data_fail(error, EDEN_E_VALUE, "row %llu is %g, and rows are whole numbers from 0 to "
                             "%llu", (unsigned long long)i, (double)x[i],
                             (unsigned long long)m->tokens - 1);
    for (uint64_t i = 0; m->classes && i < count; i++)
        if (label[i] < 0 || (uint64_t)label[i] >= m->classes)
            return data_fail(error, EDEN_E_VALUE, "row %llu has the label %d, and classes are 0 to %llu",
                             (unsigned long long)i, label[i], (unsigned long long)m->classes - 1);
    return EDEN_OK;
}

/* Forward and backward on the batch that has begun; returns its mean loss. */
static double run_training(lab_model *m, uint64_t step, uint64_t *correct)
{
    double loss = 0;
    m->batch.training = 1;
    m->batch.seed = m->seed;
    m->batch.step = step;
    run_program(m, &m->train);
    *correct = 0;
    finish_batch(&m->batch, &loss, correct);
    return m->batch.count ? loss / (double)m->batch.count : 0;
}

eden_status lab_model_train(lab_model *m, const float *x, const int32_t *label,
                            const float *target, uint64_t count, uint64_t step, double *loss,
                            uint64_t *correct, eden_error *error)
{
    if (!m || !loss || !correct)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_train() was given NULL");
    /* Where statistics are those of all ranks, a rank without rows joins in, and one that
     * cannot is not to be waited for. */
    const lab_ranks *ranks = m->ranks && lab_model_needs_whole(m) ? m->ranks : NULL;
    eden_status status = count || !ranks ? check_rows(m, x, label, target, count, error) : EDEN_OK;
    if (!status && count) status = lab_model_reserve(m, count, error);
    status = lab_ranks_agree(ranks, status, error);
    if (status) return status;
    begin_batch(m, x, label, target, count);
    m->batch.ranks = ranks;
    *loss = run_training(m, step, correct);
    if (m->batch.lost)
        return data_fail(error, m->batch.lost, m->batch.lost == EDEN_E_MEMORY ? "no memory for the statistics of all ranks"
                                                                 : "the ranks lost each other within a batch");
    run_tasks(m, (m->learned - m->summed) * count + m->summed * m->batch.blocks,
              m->parts + (m->summed + PIECE - 1) / PIECE, finish_gradients, m);
    return EDEN_OK;
}

eden_status lab_model_slopes(lab_model *m, const lab_real *x, uint64_t count, uint64_t step,
                             double *loss, const lab_real **slopes, eden_error *error)
{
    uint64_t correct;
    if (!m || !m->slopes || !m->given || !x || !count)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_slopes() was given nothing");
    const eden_status status = lab_model_reserve(m, count, error);
    if (status) return status;
    begin_batch(m, NULL, NULL, NULL, count);
    m->batch.real_x = x;
    *loss = run_training(m, step, &correct);
    *slopes = m->d_input;
    return EDEN_OK;
}

eden_status lab_model_eval(lab_model *m, const lab_split *split, double *loss, uint64_t *correct,
                           eden_error *error)
{
    if (!m || !split || !loss || !correct)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_eval() was given NULL");
    /* The same pieces whatever was trained with. */
    const uint64_t piece = 8 * m->least_rows;
    eden_status status = check_rows(m, split->x, split->label, split->target, split->count, error);
    if (!status) status = lab_model_reserve(m, split->count < piece ? split->count : piece, error);
    if (status) return status;
    m->batch.training = 0;
    *loss = 0;
    *correct = 0;
    for (uint64_t first = 0; first < split->count; first += piece) {
        const uint64_t left = split->count - first;
        begin_batch(m, split->x + first * m->features, split->label ? split->label + first : NULL,
                    split->target ? split->target + first : NULL, left < piece ? left : piece);
        run_program(m, &m->eval);
        finish_batch(&m->batch, loss, correct);
    }
    *loss /= (double)split->count;
    return EDEN_OK;
}

/* All but the last layer, which is the loss. */
eden_status lab_model_outputs(lab_model *m, const float *x, uint64_t count, const lab_real **outputs,
                              eden_error *error)
{
    if (!m || !x || !count || !outputs)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_outputs() was given nothing");
    const eden_status status = lab_model_reserve(m, count, error);
    if (status) return status;
    begin_batch(m, x, NULL, NULL, count);
    m->batch.training = 0;
    m->eval.steps--;
    run_program(m, &m->eval);
    m->eval.steps++;
    *outputs = m->layer[m->layers - 1].in;
    return EDEN_OK;
}

/* ---- creating------------------------------------------------------------------------ */

eden_status lab_model_ready(lab_model **out, lab_model *m, uint32_t threads, eden_status status,
                            eden_error *error)
{
    if (!status) {
        m->loops = lab_loops_best();
        m->workers = lab_workers_create(threads);
        status = m->workers ? lab_model_start(m, error)
                            : data_fail(error, EDEN_E_MEMORY, "there is not enough memory for threads");
    }
    if (status) {
        lab_model_destroy(m);
        return status;
    }
    lab_gemm_one_thread();
    *out = m;
    return EDEN_OK;
}

eden_status lab_model_create(lab_model **model, const lab_model_config *config,
                             const lab_data *data, eden_error *error)
{
    if (!model || !config || !data)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_create() was given NULL");
    lab_model *m = calloc(1, sizeof *m);
    if (!m) return data_fail(error, EDEN_E_MEMORY, "there is not enough memory for the model");
    eden_status status = lab_model_build(m, config, data, error);
    const lab_split *const splits[] = { &data->train, &data->test };
    for (int i = 0; i < 2 && !status; i++)
        if (splits[i]->count > 0)
            status = check_rows(m, splits[i]->x, splits[i]->label, splits[i]->target,
                                splits[i]->count, error);
    return lab_model_ready(model, m, config->threads, status, error);
}

void lab_model_destroy(lab_model *m)
{
    if (!m) return;
    lab_workers_destroy(m->workers);
    for (uint32_t i = 0; i < m->layers; i++) free(m->layer[i].sums);
    free(m->values);
    free(m->grads);
    free(m->stored);
    free(m->stored_grads);
    free(m->space);
    free(m);
}

eden_status lab_model_fits(const lab_model *m, eden_error *error)
{
    const uint32_t threads = lab_workers_count(m->workers);
    if (lab_gemm_fits(threads)) return EDEN_OK;
    return data_fail(error, EDEN_E_MEMORY, "no memory for matrix products: with %lu thread%s they take "
                     "%lu MiB of address space; raise its limit%s", (unsigned long)threads,
                     threads == 1 ? "" : "s", 129 * (unsigned long)threads + 4,
                     threads == 1 ? "" : ", or take fewer threads");
}

const char *lab_model_describe(const lab_model *m) { return m->text; }
uint64_t lab_model_weights(const lab_model *m) { return m->weights; }

/* ---- the optimizer ------------------------------------------------------------------------- */

eden_status lab_model_add_tensor(const lab_model *m, const lab_tensor *t, eden_optimizer *optimizer,
                                 const char *group, eden_error *error)
{
    eden_tensor tensor = EDEN_TENSOR_INIT;
    tensor.data = t->value;
    tensor.grad = t->grad;
    tensor.flags = t->role == LAB_RUNNING ? EDEN_FROZEN : EDEN_GRAD_WRITABLE;
    if (t->role != LAB_RUNNING) {
        tensor.dtype = m->storage.dtype;
        tensor.grad_dtype = m->storage.grad_dtype;
        tensor.state_dtype = m->storage.state_dtype;
        tensor.rounding = m->storage.rounding;
        if (m->stored) tensor.data = m->stored + t->offset;
        if (m->stored_grads) tensor.grad = m->stored_grads + t->offset;
    }
    tensor.ndim = t->ndim;
    memcpy(tensor.shape, t->shape, sizeof t->shape);
    return eden_add_tensor(optimizer, t->name, &tensor, group, error);
}

eden_status lab_model_register_parts(lab_model *m, eden_optimizer *optimizer,
                                     const lab_model_groups *groups, eden_error *error)
{
    if (!m || !optimizer || !groups)
        return data_fail(error, EDEN_E_ARGUMENT, "lab_model_register() was given NULL");
    if (sizeof(lab_real) != sizeof(float)) return lab_model_no_float(error);
    const uint32_t head = lab_model_head(m);
    for (uint32_t i = 0; i < m->layers; i++)
        for (uint32_t k = 0; k < m->layer[i].tensors; k++) {
            const lab_tensor *t = &m->layer[i].tensor[k];
            const int vector = t->role != LAB_MATRIX;
            const char *group = i == head ? (vector ? groups->head_vectors : groups->head)
                                          : (vector ? groups->body_vectors : groups->body);
            const eden_status status = lab_model_add_tensor(m, t, optimizer, group, error);
            if (status) return status;
        }
    return EDEN_OK;
}

eden_status lab_model_register(lab_model *m, eden_optimizer *optimizer, const char *vectors,
                               eden_error *error)
{
    const lab_model_groups groups = { NULL, vectors, NULL, vectors };
    return lab_model_register_parts(m, optimizer, &groups, error);
}
