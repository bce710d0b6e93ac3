#include "lab/train_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab/random.h"

/* What random numbers under a run's seed are for; others count from 1. */
enum { ORDER = 0x6f72 };

eden_status lab_fail(eden_error *error, eden_status status, const char *format, ...)
{
    va_list list;
    if (!error) return status;
    va_start(list, format);
    if (vsnprintf(error->text, sizeof error->text, format, list) < 0) error->text[0] = '\0';
    va_end(list);
    error->status = status;
    return status;
}

static double now(void)
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
    const uint64_t key = lab_random_key(run->config.seed, ORDER), n = run->data->train.count;
    if (run->order_epoch == epoch) return;
    for (uint32_t i = 0; i < n; i++) run->order[i] = i;
    for (uint32_t i = (uint32_t)n - 1; i > 0; i--) {
        const uint64_t k = lab_random_below(key, epoch * n + i, (uint64_t)i + 1);
        const uint32_t other = run->order[k];
        run->order[k] = run->order[i];
        run->order[i] = other;
    }
    run->order_epoch = epoch;
}

/* Gather batch number `batch` of the epoch; returns how many rows it has. */
static uint64_t gather(lab_run *run, uint64_t batch)
{
    const lab_split *train = &run->data->train;
    const uint64_t features = run->data->features, size = run->config.batch;
    if (batch > (train->count - 1) / size) return 0;
    const uint64_t first = batch * size, left = train->count - first;
    const uint64_t rows = left < size ? left : size;
    for (uint64_t i = 0; i < rows; i++) {
        const uint64_t row = run->order[first + i];
        memcpy(run->x + i * features, train->x + row * features, features * sizeof *run->x);
        if (run->label) run->label[i] = train->label[row];
        if (run->target) run->target[i] = train->target[row];
    }
    return rows;
}

/* ---- creating --------------------------------------------------------------------- */

static eden_status check(const lab_config *config, const lab_data *data, eden_error *error)
{
    const uint64_t n = data->train.count;
    if (!config->optimizer || !config->model.kind)
        return lab_fail(error, EDEN_E_ARGUMENT, "a run needs an optimizer and a model");
    if (!config->batch)
        return lab_fail(error, EDEN_E_VALUE, "batch = 0 is no batch; it must be at least 1");
    if (!config->epochs)
        return lab_fail(error, EDEN_E_VALUE, "epochs = 0 trains nothing; it must be at least 1");
    if (!n || n > UINT32_MAX || !data->test.count)
        return lab_fail(error, EDEN_E_SHAPE, "%s has %llu training and %llu test examples; each "
                        "must be at least 1", data->name, (unsigned long long)n,
                        (unsigned long long)data->test.count);
    if (config->accumulate > 1 && config->accumulate > (n - 1) / config->batch + 1)
        return lab_fail(error, EDEN_E_VALUE, "accumulate = %lu is more than the %llu batches of an "
                        "epoch", (unsigned long)config->accumulate,
                        (unsigned long long)((n - 1) / config->batch + 1));
    if (config->epochs > UINT64_MAX / 4 / n)
        return lab_fail(error, EDEN_E_VALUE, "epochs = %llu is more than can be counted",
                        (unsigned long long)config->epochs);
    return EDEN_OK;
}

static int keep(const char **text)
{
    if (*text) *text = strdup(*text);
    return *text != NULL;
}

/* Texts of our own in place of the caller's; 1 if memory was found for all. */
static int keep_texts(lab_config *config)
{
    const char **all[] = { &config->optimizer, &config->settings, &config->no_decay,
                           &config->schedule, &config->average, &config->model.kind,
                           &config->model.widths, &config->model.norm };
    int kept = 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int wanted = *all[i] != NULL;
        if (keep(all[i]) != wanted) kept = 0;
    }
    return kept;
}

static eden_status allocate(lab_run *run, eden_error *error)
{
    const lab_data *data = run->data;
    const uint64_t n = data->train.count;
    const size_t rows = (size_t)(run->config.batch < n ? run->config.batch : n);
    run->order = calloc((size_t)n, sizeof *run->order);
    run->x = calloc(rows, (size_t)data->features * sizeof *run->x);
    if (data->train.label) run->label = calloc(rows, sizeof *run->label);
    if (data->train.target) run->target = calloc(rows, sizeof *run->target);
    if (!run->order || !run->x || (data->train.label && !run->label)
        || (data->train.target && !run->target))
        return lab_fail(error, EDEN_E_MEMORY, "no memory for a batch of %llu examples",
                        (unsigned long long)rows);
    return EDEN_OK;
}

static eden_status set_schedule(lab_run *run, eden_error *error)
{
    const lab_config *config = &run->config;
    if (!config->warmup)
        return config->schedule ? eden_schedule(run->optimizer, NULL, "lr", config->schedule, error)
                                : EDEN_OK;
    const size_t room = (config->schedule ? strlen(config->schedule) : 0) + 64;
    char *text = malloc(room);
    if (!text) return lab_fail(error, EDEN_E_MEMORY, "no memory for a schedule");
    snprintf(text, room, "warmup(%llu)%s%s", (unsigned long long)config->warmup,
             config->schedule ? " * " : "", config->schedule ? config->schedule : "");
    const eden_status status = eden_schedule(run->optimizer, NULL, "lr", text, error);
    free(text);
    return status;
}

static eden_status create_optimizer(lab_run *run, eden_error *error)
{
    static const char group[] = "no_decay";
    const lab_config *config = &run->config;
    double value;
    eden_config options = EDEN_CONFIG_INIT;
    options.threads = config->threads;
    options.accumulate = config->accumulate;
    options.clip_norm = config->clip_norm;
    options.seed = config->seed;
    eden_status status = EDEN_OK;
    if (config->average) status = lab_average_read(config->average, &options, error);
    run->average_start = options.average_start;
    if (!status)
        status = eden_optimizer_create(&run->optimizer, config->optimizer, &options, error);
    if (!status && config->settings)
        status = eden_set_text(run->optimizer, NULL, config->settings, error);
    if (status) return status;
    const int decays = !eden_get(run->optimizer, NULL, "weight_decay", &value, NULL) && value > 0;
    run->lookahead = !eden_get(run->optimizer, NULL, "lookahead", &value, NULL) && value > 0;
    const int apart = config->no_decay && decays;
    if (apart) status = eden_add_group(run->optimizer, group, NULL, "weight_decay=0", error);
    if (!status)
        status = lab_model_register(run->model, run->optimizer, apart ? group : NULL, error);
    if (!status) status = set_schedule(run, error);
    return status;
}

eden_status lab_run_create(lab_run **out, const lab_config *config, const lab_data *data,
                           eden_error *error)
{
    *out = NULL;
    eden_status status = check(config, data, error);
    if (status) return status;
    lab_run *run = calloc(1, sizeof *run);
    if (!run) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    run->config = *config;
    run->data = data;
    if (!keep_texts(&run->config))
        status = lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    if (!status) status = allocate(run, error);
    if (!status) status = lab_model_create(&run->model, &run->config.model, data, error);
    if (!status) status = lab_model_store(run->model, &run->config.storage, error);
    if (!status) status = create_optimizer(run, error);
    if (status) {
        lab_run_destroy(run);
        return status;
    }
    const uint64_t batches = (data->train.count - 1) / config->batch + 1;
    const uint64_t each = config->accumulate > 1 ? config->accumulate : 1;
    run->epoch_steps = (batches - 1) / each + 1;
    run->progress = (lab_progress){ .steps = run->epoch_steps * config->epochs, .epoch = 1,
                                    .lr = NAN, .loss = NAN, .accuracy = NAN, .train_loss = NAN,
                                    .test_loss = NAN, .test_accuracy = NAN };
    run->started = now();
    if (run->average_start > run->progress.steps) {
        status = lab_fail(error, EDEN_E_VALUE, "average '%.60s' begins after the run's %llu steps",
                          config->average, (unsigned long long)run->progress.steps);
        lab_run_destroy(run);
        return status;
    }
    *out = run;
    return EDEN_OK;
}

void lab_run_destroy(lab_run *run)
{
    if (!run) return;
    lab_config *c = &run->config;
    eden_optimizer_destroy(run->optimizer);
    lab_model_destroy(run->model);
    const char *texts[] = { c->optimizer, c->settings, c->no_decay, c->schedule, c->average,
                            c->model.kind, c->model.widths, c->model.norm };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free((void *)(uintptr_t)texts[i]);
    free(run->order);
    free(run->x);
    free(run->label);
    free(run->target);
    free(run);
}

const lab_progress *lab_run_progress(const lab_run *run) { return &run->progress; }
const lab_model *lab_run_model(const lab_run *run) { return run->model; }
eden_optimizer *lab_run_optimizer(lab_run *run) { return run->optimizer; }

/* ---- a step ------------------------------------------------------------------------- */

static eden_status diverged(const lab_run *run, double lr, const char *why, eden_error *error)
{
    return lab_fail(error, EDEN_E_GRADIENT, "training diverged at step %llu: %.300s; lower the "
                    "learning rate (lr is %g)", (unsigned long long)run->progress.step + 1, why, lr);
}

/* Forward and backward on one batch; the sums grow. */
static eden_status learn(lab_run *run, uint64_t batch, uint64_t number, double *loss,
                         uint64_t *rows, uint64_t *correct, double lr, eden_error *error)
{
    double mean = 0;
    uint64_t right = 0;
    const uint64_t count = gather(run, batch);
    if (!count) return EDEN_OK;
    const eden_status status = lab_model_train(run->model, run->x, run->label, run->target, count,
                                               number, &mean, &right, error);
    if (status) return status;
    if (!isfinite(mean))
        return diverged(run, lr, isnan(mean) ? "the loss is not a number" : "the loss is infinite",
                        error);
    *loss += mean * (double)count;
    *rows += count;
    *correct += right;
    return EDEN_OK;
}

static eden_status begin_step(lab_run *run, eden_error *error)
{
    eden_status status = EDEN_OK;
    if (run->config.storage.grad_dtype == EDEN_F32)
        status = eden_zero_grad(run->optimizer, error);
    else
        lab_model_zero_grads(run->model);
    if (status || !run->lookahead) return status;
    status = eden_lookahead_begin(run->optimizer, error);
    if (!status) lab_model_widen(run->model);
    return status;
}

/* Gradients that are stored in 16 bits are rounded once, when all are added up. */
static eden_status update(lab_run *run, int last, double lr, eden_error *error)
{
    eden_error why = { 0, "" };
    if (last) lab_model_narrow_grads(run->model);
    const double before = now();
    const eden_status status = eden_step(run->optimizer, &why);
    run->progress.optimizer_seconds += now() - before;
    if (last && !status) lab_model_widen(run->model);
    if (status == EDEN_E_GRADIENT) return diverged(run, lr, why.text, error);
    return status ? lab_fail(error, status, "%s", why.text) : EDEN_OK;
}

/* All batches of one step. At an epoch's end there may be fewer than `accumulate`:
 * those that are missing add nothing to the sum. */
static eden_status take_step(lab_run *run, eden_error *error)
{
    lab_progress *p = &run->progress;
    double loss = 0, lr = NAN;
    uint64_t rows = 0, correct = 0;
    const uint64_t each = run->config.accumulate > 1 ? run->config.accumulate : 1;
    const uint64_t index = p->step % run->epoch_steps, epoch = p->step / run->epoch_steps + 1;
    if (eden_get_at(run->optimizer, NULL, "lr", p->step + 1, &lr, NULL)) lr = NAN;
    shuffle(run, epoch);
    eden_status status = begin_step(run, error);
    for (uint64_t i = 0; !status && i < each; i++) {
        status = learn(run, index * each + i, p->step * each + i + 1, &loss, &rows, &correct, lr,
                       error);
        if (!status) status = update(run, i + 1 == each, lr, error);
    }
    if (status) return status;
    if (!index) run->loss_sum = 0, run->loss_rows = 0;
    run->loss_sum += loss;
    run->loss_rows += rows;
    p->step++;
    p->epoch = epoch;
    p->lr = lr;
    p->loss = loss / (double)rows;
    p->accuracy = run->data->classes ? (double)correct / (double)rows : NAN;
    p->train_loss = run->loss_sum / (double)run->loss_rows;
    p->grad_norm = eden_grad_norm(run->optimizer);
    p->state_bytes_per_weight =
        (double)eden_state_bytes(run->optimizer) / (double)lab_model_weights(run->model);
    return EDEN_OK;
}

eden_status lab_run_evaluate(lab_run *run, double *loss, double *accuracy, eden_error *error)
{
    uint64_t correct = 0;
    double mean = 0;
    const lab_split *test = &run->data->test;
    const int averages = run->average_start && eden_steps(run->optimizer) >= run->average_start;
    eden_status status = averages ? eden_swap_average(run->optimizer, error) : EDEN_OK;
    if (status) return status;
    if (averages) lab_model_widen(run->model);
    status = lab_model_eval(run->model, test, &mean, &correct, error);
    if (averages) {
        eden_swap_average(run->optimizer, NULL); /* the way back cannot fail */
        lab_model_widen(run->model);
    }
    if (status) return status;
    *loss = mean;
    *accuracy = run->data->classes ? (double)correct / (double)test->count : NAN;
    return EDEN_OK;
}

static eden_status end_epoch(lab_run *run, eden_error *error)
{
    lab_progress *p = &run->progress;
    const eden_status status =
        lab_run_evaluate(run, &p->test_loss, &p->test_accuracy, error);
    if (status) return status;
    p->evaluated = 1;
    if (isfinite(p->test_loss)) return eden_report(run->optimizer, p->test_loss, error);
    p->step--; /* the sentence names the step that was taken last */
    diverged(run, p->lr, "the test loss is not finite", error);
    p->step++;
    return EDEN_E_GRADIENT;
}

eden_status lab_run_step(lab_run *run, int *done, eden_error *error)
{
    lab_progress *p = &run->progress;
    const double before = now();
    *done = 0;
    if (run->failed)
        return lab_fail(error, EDEN_E_ORDER, "a step of this run has failed; load a checkpoint");
    if (p->step >= p->steps) {
        *done = 1;
        return EDEN_OK;
    }
    p->evaluated = 0;
    eden_status status = take_step(run, error);
    p->step_seconds += now() - before;
    if (!status && p->step % run->epoch_steps == 0) status = end_epoch(run, error);
    p->seconds = now() - run->started;
    run->failed = status != EDEN_OK;
    *done = !status && p->step >= p->steps;
    return status;
}
