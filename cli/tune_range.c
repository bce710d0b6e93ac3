/* tune_range.c - the learning-rate range test. */
#include <math.h>
#include <stdlib.h>

#include "cli/output.h"
#include "cli/tune.h"

/* The smoothed loss is a mean over about 1 / (1 - SMOOTH) steps. */
#define SMOOTH 0.95
/* Of the whole fall, what has to be left behind before the range begins. */
#define FALLEN 0.1

/* The rate is multiplied from step to step: that is a schedule. */
static lab_config config_of(const cli_tuning *t, const char *settings, char schedule[64])
{
    const double steps = (double)t->range.steps;
    const double factor = pow(CLI_RANGE_HIGH / CLI_RANGE_LOW, 1 / (steps - 1));
    lab_config config = cli_study_config(&t->study, t->settings.name, settings, t->study.config.seed);
    snprintf(schedule, 64, "exponential(%.17g)", factor);
    config.schedule = schedule;
    config.warmup = 0;
    config.average = NULL;
    config.epochs = (t->range.steps - 1) / t->study.epoch_steps + 1;
    return config;
}

/* The mean of the first tenth, in which rates are too small to learn; and how much single
 * losses scatter there. */
static void beginning(cli_range *r, double *noise)
{
    const size_t n = r->count / 10 > 2 ? r->count / 10 : r->count;
    double *losses = calloc(n + 1, sizeof *losses);
    *noise = 0;
    r->start = NAN;
    if (!losses) {
        cli_no_memory();
        return;
    }
    for (size_t i = 0; i < n; i++) losses[i] = r->points[i].loss;
    const cli_mean mean = cli_mean_of(losses, n);
    r->start = mean.mean;
    *noise = mean.spread;
    free(losses);
}

/* From where a tenth of the fall has been made for good, to the least loss. */
static void find_range(cli_tuning *t)
{
    cli_range *r = &t->range;
    double noise;
    if (!r->count) return;
    beginning(r, &noise);
    const double fall = r->start - r->points[r->least].smooth;
    r->found = fall > noise && fall > 0.01 * fabs(r->start);
    r->low = t->usual / 10;
    r->high = t->usual * 10;
    if (!r->found) return;
    size_t from = r->least;
    while (from > 0 && r->points[from - 1].smooth <= r->start - FALLEN * fall) from--;
    r->low = r->points[from].rate;
    r->high = r->points[r->least].rate;
    /* A fall within a few steps is no range to search in. */
    if (r->high < 4 * r->low) r->low = r->high / 4;
}

/* Has all that was gained been lost, and as much again? */
static int exploded(const cli_range *r)
{
    const cli_range_point *last = &r->points[r->count - 1];
    const double start = r->points[0].loss, gain = start - r->points[r->least].smooth;
    return last->smooth > start + fmax(gain, 0.5 * fabs(start));
}

static void add(cli_range *r, double rate, double loss, double *sum)
{
    *sum = SMOOTH * *sum + (1 - SMOOTH) * loss;
    const double smooth = *sum / (1 - pow(SMOOTH, (double)r->count + 1));
    r->points[r->count] = (cli_range_point){ rate, loss, smooth };
    if (smooth < r->points[r->least].smooth) r->least = r->count;
    r->count++;
}

static int rise(cli_tuning *t, lab_run *run, cli_watch watch, void *context)
{
    eden_error error = { 0, "" };
    cli_range *r = &t->range;
    double sum = 0;
    int done = 0;
    const lab_progress *p = lab_run_progress(run);
    while (r->count < r->steps) {
        const eden_status status = lab_run_step(run, &done, &error);
        if (status == EDEN_E_GRADIENT || (!status && !isfinite(p->loss))) {
            r->exploded = r->count ? p->lr : CLI_RANGE_LOW;
            break;
        }
        if (status) return cli_fail_eden(&error, CLI_RUNNING);
        add(r, p->lr, p->loss, &sum);
        if (exploded(r)) {
            r->exploded = p->lr;
            break;
        }
        if (!watch(context, p)) return CLI_OK;
    }
    r->complete = 1;
    return CLI_OK;
}

int cli_tune_range(cli_tuning *t, cli_watch watch, void *context)
{
    char schedule[64];
    eden_error error = { 0, "" };
    lab_run *run = NULL;
    const size_t lr = eden_rule_hyper_index(t->settings.rule, "lr");
    t->range.exploded = NAN;
    t->range.points = calloc((size_t)t->range.steps, sizeof *t->range.points);
    t->settings.values[lr] = CLI_RANGE_LOW;
    t->settings.given[lr] = 1;
    char *settings = cli_settings_text(&t->settings);
    if (!t->range.points || !settings) {
        free(settings);
        return cli_no_memory();
    }
    const lab_config config = config_of(t, settings, schedule);
    int code = CLI_OK;
    if (lab_run_create_for(&run, &config, t->study.source.kind, t->study.source.at, &error))
        code = cli_fail_eden(&error, CLI_RUNNING);
    if (!code) code = rise(t, run, watch, context);
    if (!code && t->range.complete) find_range(t);
    lab_run_destroy(run);
    free(settings);
    return code;
}
