/* compare_run.c - training of one optimizer at a time, and what it comes to. */
#include <math.h>
#include <stdlib.h>

#include "cli/compare.h"
#include "cli/output.h"

int cli_compare_control(cli_comparison *c, size_t i)
{
    cli_point point;
    cli_trial *trial = &c->control.trials[i];
    const cli_entry *any = &c->entries[0];
    const lab_config config =
        cli_study_config(&c->study, any->name, any->settings, c->study.config.seed + i);
    const int code = cli_trial_untrained(&point, &c->study.source, &config);
    if (code) return code;
    trial->seed = config.seed;
    trial->fit = point.train_loss;
    trial->complete = 1;
    return cli_trial_add(trial, point);
}

int cli_compare_train(cli_comparison *c, cli_entry *entry, size_t i, cli_watch watch,
                      void *context)
{
    const lab_config config =
        cli_study_config(&c->study, entry->name, entry->settings, c->study.config.seed + i);
    cli_trial *trial = &entry->trials[i];
    const int code = cli_trial_add(trial, c->control.trials[i].points[0]);
    return code ? code : cli_trial_train(trial, &c->study.source, &config, watch, context);
}

/* ---- the budget ------------------------------------------------------------------------ */

/* The i-th of the rates tried, smallest first: the entry's, and others a factor of two from
 * one another on both sides; if their number is even, one more below. */
static double rate_of(const cli_comparison *c, const cli_entry *entry, size_t i)
{
    const double at = (double)i - (double)(c->budget / 2);
    return at == 0 ? entry->lr : cli_rate_round(entry->lr * pow(2, at));
}

int cli_compare_tune(cli_comparison *c, cli_entry *entry, cli_watch watch, void *context)
{
    const double usual = entry->lr;
    int code = CLI_OK;
    for (size_t i = 0; !code && i < c->budget; i++) {
        cli_rate_try *try = &entry->tried[i];
        code = cli_rate_run(&c->study, &entry->set, rate_of(c, entry, i),
                            c->study.config.seed + c->seeds, 1, watch, context, try);
        if (!code && !try->complete) return CLI_OK;
    }
    if (code) return code;
    cli_rate_choose(&c->study, entry->tried, c->budget, 0, &entry->best);
    entry->lr = entry->best ? entry->best->rate : usual;
    if (entry->best) entry->source = "the best of the rates tried here";
    entry->set.values[eden_rule_hyper_index(entry->set.rule, "lr")] = entry->lr;
    free(entry->settings);
    entry->settings = cli_settings_text(&entry->set);
    return entry->settings ? CLI_OK : cli_no_memory();
}

/* ---- what it comes to ----------------------------------------------------------------- */

int cli_entry_complete(const cli_comparison *c, const cli_entry *entry)
{
    for (size_t i = 0; i < c->seeds; i++)
        if (!entry->trials[i].complete && !entry->trials[i].diverged) return 0;
    return 1;
}

const cli_point *cli_reached(const cli_comparison *c, const cli_trial *trial)
{
    for (size_t i = 1; i < trial->count; i++) {
        const double value = cli_goal(&c->study.metric, &trial->points[i]);
        /* 342 of 360 are 95 %, whatever the last bit of the quotient says. */
        if (lab_goal_rises(&c->study.metric) ? value >= c->target - 1e-9 * fabs(c->target)
                                             : value <= c->target)
            return &trial->points[i];
    }
    return NULL;
}

typedef double (*measure)(const cli_comparison *c, const cli_trial *trial);

static const cli_point *end_of(const cli_trial *trial) { return &trial->points[trial->count - 1]; }

static double train_loss(const cli_comparison *c, const cli_trial *trial)
{
    (void)c;
    return end_of(trial)->train_loss;
}

static double test_result(const cli_comparison *c, const cli_trial *trial)
{
    return cli_goal(&c->study.metric, end_of(trial));
}

static double gap(const cli_comparison *c, const cli_trial *trial)
{
    (void)c;
    return end_of(trial)->test_loss - trial->fit;
}

static double steps_to_target(const cli_comparison *c, const cli_trial *trial)
{
    const cli_point *point = cli_reached(c, trial);
    return point ? (double)point->step : NAN;
}

static double seconds_to_target(const cli_comparison *c, const cli_trial *trial)
{
    const cli_point *point = cli_reached(c, trial);
    return point ? point->seconds : NAN;
}

static cli_mean mean_of(const cli_comparison *c, const cli_entry *entry, measure value)
{
    size_t n = 0;
    cli_mean mean = { NAN, 0 };
    double *values = calloc(c->seeds, sizeof *values);
    if (!values) {
        cli_no_memory();
        return mean;
    }
    for (size_t i = 0; i < c->seeds; i++)
        if (entry->trials[i].complete) values[n++] = value(c, &entry->trials[i]);
    mean = cli_mean_of(values, n);
    free(values);
    return mean;
}

cli_summary cli_summarize(const cli_comparison *c, const cli_entry *entry)
{
    double steps = 0, seconds = 0, inside = 0;
    cli_summary s = { .train_loss = mean_of(c, entry, train_loss),
                      .test = mean_of(c, entry, test_result),
                      .gap = mean_of(c, entry, gap),
                      .steps = mean_of(c, entry, steps_to_target),
                      .target_seconds = mean_of(c, entry, seconds_to_target) };
    for (size_t i = 0; i < c->seeds; i++) {
        const cli_trial *trial = &entry->trials[i];
        s.diverged += trial->diverged != 0;
        s.reached += trial->complete && cli_reached(c, trial);
        s.state_bytes = trial->state_bytes;
        steps += (double)trial->steps;
        seconds += trial->step_seconds;
        inside += trial->optimizer_seconds;
    }
    s.seconds = steps > 0 ? seconds / steps : NAN;
    s.share = seconds > 0 ? inside / seconds : NAN;
    return s;
}
