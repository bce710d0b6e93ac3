/* compare_run.c - training of one optimizer at a time, and what it comes to. */
#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>

#include "cli/output.h"

static lab_config config_of(const cli_comparison *c, const cli_entry *entry, size_t i)
{
    lab_config config = c->config;
    config.optimizer = entry->name;
    config.settings = entry->settings;
    config.seed += i;
    config.model.seed += i;
    return config;
}

static int add_point(cli_trial *trial, cli_point point)
{
    if (trial->count == trial->room) {
        const size_t room = trial->room ? 2 * trial->room : 32;
        cli_point *points = realloc(trial->points, room * sizeof *points);
        if (!points) return cli_no_memory();
        trial->points = points;
        trial->room = room;
    }
    trial->points[trial->count++] = point;
    return CLI_OK;
}

static double share_right(const lab_data *data, const lab_split *split, uint64_t correct)
{
    return data->classes ? (double)correct / (double)split->count : NAN;
}

int cli_compare_control(cli_comparison *c, size_t i)
{
    const lab_config config = config_of(c, &c->control, i);
    cli_trial *trial = &c->control.trials[i];
    cli_point point = { .lr = NAN };
    uint64_t correct = 0, train_correct = 0;
    eden_error error = { 0, "" };
    lab_model *model = NULL;
    eden_status status = lab_model_create(&model, &config.model, &c->data, &error);
    if (!status) status = lab_model_store(model, &config.storage, &error);
    if (!status && !i) status = lab_model_fits(model, &error);
    if (!status)
        status = lab_model_eval(model, &c->data.train, &point.train_loss, &train_correct, &error);
    if (!status)
        status = lab_model_eval(model, &c->data.test, &point.test_loss, &correct, &error);
    lab_model_destroy(model);
    if (status) return cli_fail_eden(&error, CLI_RUNNING);
    point.test_accuracy = share_right(&c->data, &c->data.test, correct);
    trial->seed = config.seed;
    trial->complete = 1;
    return add_point(trial, point);
}

int cli_compare_try(cli_comparison *c, const cli_entry *entry)
{
    const lab_config config = config_of(c, entry, 0);
    eden_error error = { 0, "" };
    lab_run *run = NULL;
    if (lab_run_create(&run, &config, &c->data, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    c->epoch_steps = lab_run_progress(run)->steps / config.epochs;
    lab_run_destroy(run);
    return CLI_OK;
}

static int train(lab_run *run, cli_trial *trial, cli_watch watch, void *context)
{
    eden_error error = { 0, "" };
    int code = CLI_OK, done = 0;
    while (!code && !done) {
        const eden_status status = lab_run_step(run, &done, &error);
        const lab_progress *p = lab_run_progress(run);
        trial->steps = p->step;
        trial->step_seconds = p->step_seconds;
        trial->optimizer_seconds = p->optimizer_seconds;
        trial->state_bytes = p->state_bytes_per_weight;
        if (status == EDEN_E_GRADIENT || (!status && p->evaluated && !isfinite(p->train_loss))) {
            trial->diverged = 1;
            trial->diverged_at = p->step + !p->evaluated;
            return CLI_OK;
        }
        if (status) return cli_fail_eden(&error, CLI_RUNNING);
        if (p->evaluated)
            code = add_point(trial, (cli_point){ p->epoch, p->step, p->lr, p->train_loss,
                                                 p->test_loss, p->test_accuracy });
        if (!code && !watch(context, p)) return CLI_OK;
    }
    trial->complete = !code;
    return code;
}

int cli_compare_train(cli_comparison *c, cli_entry *entry, size_t i, cli_watch watch,
                      void *context)
{
    const lab_config config = config_of(c, entry, i);
    cli_trial *trial = &entry->trials[i];
    eden_error error = { 0, "" };
    lab_run *run = NULL;
    trial->seed = config.seed;
    int code = add_point(trial, c->control.trials[i].points[0]);
    if (code) return code;
    if (lab_run_create(&run, &config, &c->data, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    code = train(run, trial, watch, context);
    lab_run_destroy(run);
    return code;
}

/* ---- what it comes to ----------------------------------------------------------------- */

int cli_entry_complete(const cli_comparison *c, const cli_entry *entry)
{
    for (size_t i = 0; i < c->seeds; i++)
        if (!entry->trials[i].complete && !entry->trials[i].diverged) return 0;
    return 1;
}

uint64_t cli_reached(const cli_comparison *c, const cli_trial *trial)
{
    for (size_t i = 1; i < trial->count; i++) {
        const cli_point *p = &trial->points[i];
        /* 342 of 360 are 95 %, whatever the last bit of the quotient says. */
        if (c->data.classes ? p->test_accuracy >= c->target - 1e-9 : p->test_loss <= c->target)
            return p->step;
    }
    return 0;
}

typedef double (*measure)(const cli_comparison *c, const cli_trial *trial);

static double train_loss(const cli_comparison *c, const cli_trial *trial)
{
    (void)c;
    return trial->points[trial->count - 1].train_loss;
}

static double test_result(const cli_comparison *c, const cli_trial *trial)
{
    const cli_point *p = &trial->points[trial->count - 1];
    return c->data.classes ? p->test_accuracy : p->test_loss;
}

static double steps_to_target(const cli_comparison *c, const cli_trial *trial)
{
    const uint64_t step = cli_reached(c, trial);
    return step ? (double)step : NAN;
}

static cli_mean mean_of(const cli_comparison *c, const cli_entry *entry, measure value)
{
    size_t n = 0;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < c->seeds; i++)
        if (entry->trials[i].complete) sum += value(c, &entry->trials[i]), n++;
    if (!n) return (cli_mean){ NAN, 0 };
    const double mean = sum / (double)n;
    for (size_t i = 0; i < c->seeds; i++)
        if (entry->trials[i].complete) {
            const double d = value(c, &entry->trials[i]) - mean;
            squares += d * d;
        }
    return (cli_mean){ mean, n > 1 ? sqrt(squares / (double)(n - 1)) : 0 };
}

cli_summary cli_summarize(const cli_comparison *c, const cli_entry *entry)
{
    double steps = 0, seconds = 0, inside = 0;
    cli_summary s = { .train_loss = mean_of(c, entry, train_loss),
                      .test = mean_of(c, entry, test_result),
                      .steps = mean_of(c, entry, steps_to_target) };
    for (size_t i = 0; i < c->seeds; i++) {
        const cli_trial *trial = &entry->trials[i];
        s.diverged += trial->diverged != 0;
        s.state_bytes = trial->state_bytes;
        steps += (double)trial->steps;
        seconds += trial->step_seconds;
        inside += trial->optimizer_seconds;
    }
    s.seconds = steps > 0 ? seconds / steps : NAN;
    s.share = seconds > 0 ? inside / seconds : NAN;
    return s;
}
