/* problem_supervised.c - classes or values learned from examples: digits, IDX files and
 * tables. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/problem.h"

typedef struct {
    lab_problem base;
    const lab_data *data;
    uint64_t size;            /* of a batch */
    float *x, *target;        /* a batch, gathered */
    int32_t *label;
} supervised;

/* ---- creating --------------------------------------------------------------------- */

static void destroy(lab_problem *problem)
{
    supervised *s = (supervised *)problem;
    lab_model_destroy(problem->model);
    free(s->x);
    free(s->label);
    free(s->target);
    free(s);
}

static eden_status check(const lab_data *data, eden_error *error)
{
    const uint64_t n = data->train.count;
    if (!n || n > UINT32_MAX || !data->test.count)
        return lab_fail(error, EDEN_E_SHAPE, "%s has %llu training and %llu test examples; each "
                        "must be at least 1", data->name, (unsigned long long)n,
                        (unsigned long long)data->test.count);
    return EDEN_OK;
}

static eden_status allocate(supervised *s, eden_error *error)
{
    const lab_data *data = s->data;
    const uint64_t n = data->train.count;
    const size_t rows = (size_t)(s->size < n ? s->size : n);
    s->x = calloc(rows, (size_t)data->features * sizeof *s->x);
    if (data->train.label) s->label = calloc(rows, sizeof *s->label);
    if (data->train.target) s->target = calloc(rows, sizeof *s->target);
    if (!s->x || (data->train.label && !s->label) || (data->train.target && !s->target))
        return lab_fail(error, EDEN_E_MEMORY, "no memory for a batch of %llu examples",
                        (unsigned long long)rows);
    return EDEN_OK;
}

static eden_status create(lab_problem **out, const lab_config *config, const void *source,
                          eden_error *error)
{
    const lab_data *data = source;
    *out = NULL;
    eden_status status = check(data, error);
    if (!status && config->task)
        status = lab_fail(error, EDEN_E_VALUE, "'%.80s' says nothing to %s", config->task, data->name);
    if (status) return status;
    supervised *s = calloc(1, sizeof *s);
    if (!s) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    s->data = data;
    s->size = config->batch;
    status = allocate(s, error);
    if (!status) status = lab_model_create(&s->base.model, &config->model, data, error);
    if (status) {
        destroy(&s->base);
        return status;
    }
    s->base = (lab_problem){ .kind = &lab_supervised, .data = data->name, .hash = data->hash,
                             .network = lab_model_describe(s->base.model),
                             .weights = lab_model_weights(s->base.model),
                             .examples = data->train.count,
                             .batches = (data->train.count - 1) / config->batch + 1,
                             .metric = { .unit = "", .loss_unit = "" }, .model = s->base.model };
    if (data->classes)
        s->base.metric = (lab_metric){ .name = "accuracy", .unit = "%", .scale = 100, .decimals = 2,
                                       .rises = 1, .loss_unit = "" };
    *out = &s->base;
    return EDEN_OK;
}

/* ---- learning and measuring --------------------------------------------------------- */

/* Gather rows of the order. */
static void gather(supervised *s, const lab_turn *turn, uint64_t first, uint64_t rows)
{
    const lab_split *train = &s->data->train;
    const uint64_t features = s->data->features;
    for (uint64_t i = 0; i < rows; i++) {
        const uint64_t row = turn->order[first + i];
        memcpy(s->x + i * features, train->x + row * features, features * sizeof *s->x);
        if (s->label) s->label[i] = train->label[row];
        if (s->target) s->target[i] = train->target[row];
    }
}

static eden_status learn(lab_problem *problem, const lab_turn *turn, lab_sums *sums,
                         eden_error *error)
{
    supervised *s = (supervised *)problem;
    double mean = 0;
    uint64_t right = 0;
    uint64_t from, to;
    if (turn->batch >= s->base.batches) return EDEN_OK;
    const uint64_t first = turn->batch * s->size, left = s->data->train.count - first;
    const double over = lab_turn_rows(turn, left < s->size ? left : s->size, &from, &to);
    const uint64_t count = to - from;
    if (!count && !(turn->ranks && lab_model_needs_whole(problem->model))) return EDEN_OK;
    gather(s, turn, first + from, count);
    lab_model_part(problem->model, from, over, turn->ranks);
    const eden_status status = lab_model_train(problem->model, s->x, s->label, s->target, count,
                                               turn->number, &mean, &right, error);
    if (status) return status;
    sums->loss += mean * (double)count;
    sums->rows += count;
    sums->metric += (double)right;
    return EDEN_OK;
}

static eden_status evaluate(lab_problem *problem, int whole, double *loss, double *metric,
                            eden_error *error)
{
    const supervised *s = (supervised *)problem;
    uint64_t correct = 0;
    double mean = 0;
    (void)whole;
    const eden_status status = lab_model_eval(problem->model, &s->data->test, &mean, &correct, error);
    if (status) return status;
    *loss = mean;
    *metric = s->data->classes ? (double)correct / (double)s->data->test.count : NAN;
    return EDEN_OK;
}

static eden_status evaluate_train(lab_problem *problem, double *loss, eden_error *error)
{
    uint64_t correct = 0;
    return lab_model_eval(problem->model, &((supervised *)problem)->data->train, loss, &correct, error);
}

const lab_problem_kind lab_supervised = {
    .create = create, .destroy = destroy, .fits = lab_problem_fits, .store = lab_problem_store,
    .zero_grads = lab_problem_zero_grads, .narrow_grads = lab_problem_narrow_grads,
    .widen = lab_problem_widen, .add = lab_problem_add, .learn = learn, .evaluate = evaluate,
    .evaluate_train = evaluate_train,
};
