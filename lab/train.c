#include "lab/train_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


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

/* ---- creating --------------------------------------------------------------------- */

static eden_status check(const lab_config *config, eden_error *error)
{
    if (!config->optimizer || !config->model.kind)
        return lab_fail(error, EDEN_E_ARGUMENT, "a run needs an optimizer and a model");
    if (!config->batch)
        return lab_fail(error, EDEN_E_VALUE, "batch = 0 is no batch; it must be at least 1");
    if (!config->epochs)
        return lab_fail(error, EDEN_E_VALUE, "epochs = 0 trains nothing; it must be at least 1");
    return EDEN_OK;
}

static eden_status check_length(const lab_config *config, const lab_problem *problem,
                                eden_error *error)
{
    const uint64_t n = problem->examples > problem->batches ? problem->examples : problem->batches;
    if (config->accumulate > 1 && config->accumulate > problem->batches)
        return lab_fail(error, EDEN_E_VALUE, "accumulate = %lu is more than the %llu batches of an "
                        "epoch", (unsigned long)config->accumulate,
                        (unsigned long long)problem->batches);
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
                           &config->model.widths, &config->model.norm, &config->task };
    int kept = 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int wanted = *all[i] != NULL;
        if (keep(all[i]) != wanted) kept = 0;
    }
    return kept;
}

/* The problem, and room for the order of its examples. */
static eden_status create_problem(lab_run *run, const lab_problem_kind *kind, const void *source,
                                  eden_error *error)
{
    eden_status status = kind->create(&run->problem, &run->config, source, error);
    if (!status) status = check_length(&run->config, run->problem, error);
    if (status || !run->problem->examples) return status;
    run->order = calloc((size_t)run->problem->examples, sizeof *run->order);
    return run->order ? EDEN_OK
                      : lab_fail(error, EDEN_E_MEMORY, "no memory for the order of %llu examples",
                                 (unsigned long long)run->problem->examples);
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
    if (config->parts) options.accumulate = (config->accumulate ? config->accumulate : 1) * config->parts;
    options.clip_norm = config->clip_norm;
    options.seed = config->seed;
    eden_status status = EDEN_OK;
    if (config->average) status = lab_average_read(config->average, &options, error);
    run->average_start = options.average_start;
    if (!status && config->ranks)
        status = config->ranks->create(&run->optimizer, config->optimizer, &options, config->parts != 0, error);
    else if (!status)
        status = eden_optimizer_create(&run->optimizer, config->optimizer, &options, error);
    if (!status && config->settings)
        status = eden_set_text(run->optimizer, NULL, config->settings, error);
    if (status) return status;
    const int decays = !eden_get(run->optimizer, NULL, "weight_decay", &value, NULL) && value > 0;
    run->lookahead = !eden_get(run->optimizer, NULL, "lookahead", &value, NULL) && value > 0;
    const int apart = config->no_decay && decays;
    if (apart) status = eden_add_group(run->optimizer, group, NULL, "weight_decay=0", error);
    if (!status)
        status = run->problem->kind->add(run->problem, run->optimizer, apart ? group : NULL, error);
    if (!status) status = set_schedule(run, error);
    return status;
}

eden_status lab_run_create_for(lab_run **out, const lab_config *config,
                               const lab_problem_kind *kind, const void *source,
                               eden_error *error)
{
    *out = NULL;
    eden_status status = check(config, error);
    if (status) return status;
    lab_run *run = calloc(1, sizeof *run);
    if (!run) return lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    run->config = *config;
    if (!keep_texts(&run->config))
        status = lab_fail(error, EDEN_E_MEMORY, "no memory for a run");
    if (!status) status = create_problem(run, kind, source, error);
    if (!status) status = kind->store(run->problem, &run->config.storage, error);
    if (!status) status = lab_run_make_parts(run, error);
    status = lab_ranks_agree(config->ranks, status, error);
    if (!status && config->ranks) status = lab_run_compare_ranks(run, error);
    if (!status) status = lab_ranks_agree(config->ranks, create_optimizer(run, error), error);
    if (status) {
        lab_run_destroy(run);
        return status;
    }
    const uint64_t each = config->accumulate > 1 ? config->accumulate : 1;
    run->epoch_steps = (run->problem->batches - 1) / each + 1;
    run->progress = (lab_progress){ .steps = run->epoch_steps * config->epochs, .epoch = 1,
                                    .lr = NAN, .loss = NAN, .accuracy = NAN, .train_loss = NAN,
                                    .test_loss = NAN, .test_accuracy = NAN, .best = NAN,
                                    .metric = run->problem->metric,
                                    .facts = run->problem->facts };
    run->started = lab_now();
    if (run->average_start > run->progress.steps) {
        status = lab_fail(error, EDEN_E_VALUE, "average '%.60s' begins after the run's %llu steps",
                          config->average, (unsigned long long)run->progress.steps);
        lab_run_destroy(run);
        return status;
    }
    *out = run;
    return EDEN_OK;
}

eden_status lab_run_create(lab_run **out, const lab_config *config, const lab_data *data,
                           eden_error *error)
{
    return lab_run_create_for(out, config, &lab_supervised, data, error);
}

void lab_run_destroy(lab_run *run)
{
    if (!run) return;
    lab_config *c = &run->config;
    eden_optimizer_destroy(run->optimizer);
    if (run->problem) run->problem->kind->destroy(run->problem);
    const char *texts[] = { c->optimizer, c->settings, c->no_decay, c->schedule, c->average,
                            c->model.kind, c->model.widths, c->model.norm, c->task };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free((void *)(uintptr_t)texts[i]);
    free(run->order);
    free(run->sum);
    free(run->heard);
    free(run);
}

const lab_progress *lab_run_progress(const lab_run *run) { return &run->progress; }
const lab_problem *lab_run_problem(const lab_run *run) { return run->problem; }
const lab_model *lab_run_model(const lab_run *run) { return run->problem->model; }
eden_optimizer *lab_run_optimizer(lab_run *run) { return run->optimizer; }

eden_status lab_run_fits(const lab_run *run, eden_error *error)
{
    return run->problem->kind->fits(run->problem, error);
}

/* ---- measuring ---------------------------------------------------------------------- */

/* Put the averages in the place of the weights, or back; *there says which it is. */
static eden_status swap_average(lab_run *run, int *there, eden_error *error)
{
    if (!run->average_start || eden_steps(run->optimizer) < run->average_start) return EDEN_OK;
    const eden_status status = eden_swap_average(run->optimizer, error);
    if (status) return status;
    *there = !*there;
    run->problem->kind->widen(run->problem);
    return EDEN_OK;
}

/* Weights are alike on all ranks, and what rank 0 finds holds for all. */
static eden_status share(const lab_run *run, eden_status status, double values[2], eden_error *error)
{
    status = lab_ranks_agree(run->config.ranks, status, error);
    return status ? status : lab_ranks_share(run->config.ranks, values, 2 * sizeof *values, error);
}

static eden_status evaluate(lab_run *run, int whole, double *loss, double *metric, eden_error *error)
{
    double found[2] = { *loss, *metric };
    eden_status status = EDEN_OK;
    if (!lab_ranks_rank(run->config.ranks))
        status = run->problem->kind->evaluate(run->problem, whole, &found[0], &found[1], error);
    status = share(run, status, found, error);
    if (!status) *loss = found[0], *metric = found[1];
    return status;
}

static eden_status measure(lab_run *run, int whole, double *loss, double *metric, eden_error *error)
{
    int there = 0;
    eden_status status = swap_average(run, &there, error);
    if (status) return status;
    status = evaluate(run, whole, loss, metric, error);
    if (there) swap_average(run, &there, NULL); /* the way back cannot fail */
    return status;
}

eden_status lab_run_evaluate(lab_run *run, double *loss, double *accuracy, eden_error *error)
{
    return measure(run, 1, loss, accuracy, error);
}

eden_status lab_run_evaluate_train(lab_run *run, double *loss, eden_error *error)
{
    int there = 0;
    *loss = NAN;
    if (!run->problem->kind->evaluate_train) return EDEN_OK;
    eden_status status = swap_average(run, &there, error);
    if (status) return status;
    double found[2] = { NAN, NAN };
    if (!lab_ranks_rank(run->config.ranks))
        status = run->problem->kind->evaluate_train(run->problem, &found[0], error);
    status = share(run, status, found, error);
    *loss = found[0];
    if (there) swap_average(run, &there, NULL);
    return status;
}

eden_status lab_run_sample(lab_run *run, const lab_sample_config *config, lab_sample *sample,
                           eden_error *error)
{
    int there = 0;
    *sample = (lab_sample){ 0 };
    if (!run->problem->kind->sample)
        return lab_fail(error, EDEN_E_ARGUMENT, "%s makes no samples", run->problem->data);
    eden_status status = swap_average(run, &there, error);
    if (status) return status;
    if (!lab_ranks_rank(run->config.ranks))
        status = run->problem->kind->sample(run->problem, config, sample, error);
    status = lab_ranks_agree(run->config.ranks, status, error);
    if (there) swap_average(run, &there, NULL);
    return status;
}

/* The optimizer hears of the same part of the test set after each epoch, whether the
 * run ends here or was once meant to. */
static eden_status end_epoch(lab_run *run, eden_error *error)
{
    lab_progress *p = &run->progress;
    eden_status status = measure(run, 0, &p->test_loss, &p->test_accuracy, error);
    if (status) return status;
    p->evaluated = 1;
    if (!isfinite(p->test_loss)) {
        p->step--; /* the sentence names the step that was taken last */
        lab_run_diverged(run, p->lr, "the test loss is not finite", error);
        p->step++;
        return EDEN_E_GRADIENT;
    }
    status = eden_report(run->optimizer, p->test_loss, error);
    if (!status) lab_run_judge(run);
    const int last = lab_run_over(p) && run->problem->samples_test;
    return status || !last ? status : measure(run, 1, &p->test_loss, &p->test_accuracy, error);
}

eden_status lab_run_step(lab_run *run, int *done, eden_error *error)
{
    lab_progress *p = &run->progress;
    const double before = lab_now();
    *done = 0;
    if (run->failed)
        return lab_fail(error, EDEN_E_ORDER, "a step of this run has failed; load a checkpoint");
    if (lab_run_over(p)) {
        *done = 1;
        return EDEN_OK;
    }
    p->evaluated = 0;
    eden_status status = lab_run_take_step(run, error);
    p->step_seconds += lab_now() - before;
    if (!status && p->step % run->epoch_steps == 0) status = end_epoch(run, error);
    p->seconds = lab_now() - run->started;
    run->failed = status != EDEN_OK;
    *done = !status && lab_run_over(p);
    return status;
}
