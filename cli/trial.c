#include "cli/trial.h"

#include <math.h>
#include <stdlib.h>

#include "cli/output.h"

int cli_trial_add(cli_trial *trial, cli_point point)
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

void cli_trial_free(cli_trial *trial)
{
    free(trial->points);
    *trial = (cli_trial){ 0 };
}

/* ---- training ------------------------------------------------------------------------- */

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
            code = cli_trial_add(trial, (cli_point){ p->epoch, p->step, p->lr, p->train_loss,
                                                     p->test_loss, p->test_accuracy,
                                                     p->step_seconds });
        if (!code && watch && !watch(context, p)) return CLI_OK;
    }
    if (!code && lab_run_evaluate_train(run, &trial->fit, &error))
        code = cli_fail_eden(&error, CLI_RUNNING);
    trial->complete = !code;
    return code;
}

int cli_trial_train(cli_trial *trial, const cli_source *source, const lab_config *config,
                    cli_watch watch, void *context)
{
    eden_error error = { 0, "" };
    lab_run *run = NULL;
    trial->seed = config->seed;
    trial->fit = NAN;
    if (lab_run_create_for(&run, config, source->kind, source->at, &error))
        return cli_fail_eden(&error, CLI_RUNNING);
    const int code = train(run, trial, watch, context);
    lab_run_destroy(run);
    return code;
}

/* ---- a network as it begins -------------------------------------------------------------- */

int cli_trial_untrained(cli_point *point, const cli_source *source, const lab_config *config)
{
    eden_error error = { 0, "" };
    lab_problem *problem = NULL;
    const lab_problem_kind *kind = source->kind;
    *point = (cli_point){ .lr = NAN, .train_loss = NAN };
    eden_status status = kind->create(&problem, config, source->at, &error);
    if (status) return cli_fail_eden(&error, CLI_RUNNING);
    status = kind->store(problem, &config->storage, &error);
    if (!status) status = kind->evaluate(problem, 1, &point->test_loss, &point->metric, &error);
    if (!status && kind->evaluate_train)
        status = kind->evaluate_train(problem, &point->train_loss, &error);
    kind->destroy(problem);
    return status ? cli_fail_eden(&error, CLI_RUNNING) : CLI_OK;
}

/* ---- what is judged ------------------------------------------------------------------------ */

double cli_goal(const lab_metric *metric, const cli_point *point)
{
    return lab_goal(metric, point->test_loss, point->metric);
}

const char *cli_goal_name(const lab_metric *metric)
{
    return lab_goal_is_metric(metric) ? metric->name : metric->goal ? metric->goal : "loss";
}
double cli_goal_scale(const lab_metric *metric) { return lab_goal_is_metric(metric) ? metric->scale : 1; }
const char *cli_goal_unit(const lab_metric *metric) { return lab_goal_is_metric(metric) ? metric->unit : ""; }

const char *cli_goal_text(const lab_metric *metric, double value, double spread,
                          char text[CLI_GOAL_ROOM])
{
    const double x = cli_goal_scale(metric) * value, d = cli_goal_scale(metric) * spread;
    const int digits = metric->decimals < 2 ? metric->decimals : 2;
    const int plain = lab_goal_is_metric(metric) && fabs(x) < 1e5; /* a perplexity may be anything */
    if (!isfinite(value))
        snprintf(text, CLI_GOAL_ROOM, "-");
    else if (plain && isfinite(spread))
        snprintf(text, CLI_GOAL_ROOM, "%.*f +- %.*f", digits, x, digits, d);
    else if (plain)
        snprintf(text, CLI_GOAL_ROOM, "%.*f", digits, x);
    else if (isfinite(spread))
        snprintf(text, CLI_GOAL_ROOM, "%.3g +- %.1g", x, d);
    else
        snprintf(text, CLI_GOAL_ROOM, "%.4g", x);
    return text;
}

cli_mean cli_mean_of(const double *values, size_t count)
{
    double sum = 0, squares = 0;
    if (!count) return (cli_mean){ NAN, 0 };
    for (size_t i = 0; i < count; i++) sum += values[i];
    const double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
    return (cli_mean){ mean, count > 1 ? sqrt(squares / (double)(count - 1)) : 0 };
}
