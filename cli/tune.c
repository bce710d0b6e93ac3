/* tune.c - `eden tune`: which learning rate? */
#include "cli/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/compare_bar.h"
#include "cli/draft.h"
#include "cli/gnuplot.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/storage.h"

/* ---- what is asked ------------------------------------------------------------------- */

static int read_settings(cli_tuning *t)
{
    const char *name = cli_text(t->args, "optimizer", NULL);
    const cli_command *command = t->args->command;
    int code = cli_settings_create(&t->settings, name ? name : lab_task_optimizer(t->study.task));
    if (!code) code = cli_rate_check(&t->study, &t->settings, "eden tune");
    if (!code) code = cli_settings_from(&t->settings, t->args);
    if (code) return code;
    const size_t lr = eden_rule_hyper_index(t->settings.rule, "lr");
    const size_t decay = eden_rule_hyper_index(t->settings.rule, "weight_decay");
    if (t->settings.given[lr])
        return cli_usage(command, "lr is what eden tune looks for; leave it away, or train with it");
    code = cli_study_settings(&t->study, &t->settings, &t->source);
    t->usual = t->settings.values[lr];
    t->settings.given[lr] = 1;
    if (!code) code = cli_settings_check(&t->settings, command);
    if (!code) code = cli_storage_check(&t->study.config.storage, &t->settings, command);
    if (code) return code;
    if (cli_has(t->args, "no-decay") && (decay == SIZE_MAX || t->settings.values[decay] == 0))
        return cli_usage(command, "--no-decay does nothing, since %s has no weight decay", t->settings.name);
    return CLI_OK;
}

static int try_settings(cli_tuning *t)
{
    char *text = cli_settings_text(&t->settings);
    const int code = text ? cli_study_try(&t->study, t->settings.name, text) : cli_no_memory();
    free(text);
    return code;
}

static int read_budget(cli_tuning *t)
{
    t->budget = (size_t)cli_count(t->args, "budget", 8);
    t->seeds = (size_t)cli_count(t->args, "seeds", 1);
    t->margin = cli_real(t->args, "margin", 0.5) / 100;
    t->range.steps = cli_count(t->args, "range-steps", 300);
    if (t->budget >= 2 * t->seeds) return CLI_OK;
    return cli_usage(t->args->command, "--budget %zu runs are less than two rates with %zu seed%s each",
                     t->budget, t->seeds, t->seeds == 1 ? "" : "s");
}

/* Everything that can be refused is refused before the first step. */
static int prepare(cli_tuning *t, const char *picture, int *svg)
{
    int code = read_budget(t);
    if (!code && picture) {
        const char *slash = strrchr(picture, '/'), *end = strrchr(slash ? slash : picture, '.');
        *svg = end && !strcmp(end, ".svg");
        if (!*svg && (!end || strcmp(end, ".png") != 0))
            code = cli_usage(t->args->command, "'%.200s' ends in neither .png nor .svg", picture);
    }
    if (!code) code = cli_study_open(&t->study, t->args);
    if (!code) code = read_settings(t);
    if (!code) code = try_settings(t);
    if (!code && picture) code = cli_can_create(picture);
    if (!code && picture) code = cli_gnuplot_check();
    if (code) return code;
    t->tries = calloc(t->budget, sizeof *t->tries);
    return t->tries ? CLI_OK : cli_no_memory();
}

/* ---- running ------------------------------------------------------------------------- */

typedef struct {
    cli_bar bar;
    uint64_t last, each;   /* steps of the run that goes on, as seen last; of a run */
    int search;
} watcher;

static int watch(void *context, const lab_progress *progress)
{
    watcher *w = context;
    if (w->search && progress->step < w->last) w->bar.done += w->each;
    w->last = progress->step;
    cli_bar_show(&w->bar, w->bar.done + progress->step, w->search ? "search" : "range test");
    return !cli_interrupt();
}

static int run(cli_tuning *t)
{
    watcher w = { .each = t->study.epoch_steps * t->study.config.epochs };
    cli_bar_begin(&w.bar, stderr, t->range.steps + t->budget * w.each);
    int code = cli_tune_range(t, watch, &w);
    w.search = 1;
    w.last = 0;
    w.bar.done = t->range.steps;
    if (!code && t->range.complete && !cli_interrupt()) code = cli_tune_search(t, watch, &w);
    cli_bar_clear(&w.bar);
    return code;
}

/* ---- telling ------------------------------------------------------------------------- */

static int tell_about(const cli_tuning *t)
{
    char seeds[64];
    const unsigned long long seed = t->study.config.seed;
    if (t->seeds > 1)
        snprintf(seeds, sizeof seeds, "seeds %llu to %llu", seed, seed + t->seeds - 1);
    else
        snprintf(seeds, sizeof seeds, "seed %llu", seed);
    char *about = cli_study_text(&t->study, seeds);
    if (!about) return CLI_SYSTEM;
    cli_wrap(stdout, 2, 0, 79, about);
    printf("\n  %s; budget: %zu run%s\n\n", t->settings.name, t->budget, t->budget == 1 ? "" : "s");
    fflush(stdout);
    free(about);
    return CLI_OK;
}

static int draw(const cli_tuning *t, const char *path, int svg)
{
    cli_draft draft;
    int code = cli_draft_open(&draft, NULL, path);
    if (!code) code = cli_tune_draw(t, svg, draft.file);
    if (!code) code = cli_draft_close(&draft);
    if (!code) code = cli_draft_commit(&draft);
    cli_draft_discard(&draft);
    return code;
}

static int tell(const cli_tuning *t, const char *picture, int svg)
{
    const int stopped = cli_interrupt();
    int code = CLI_OK;
    if (cli_has(t->args, "json"))
        code = cli_tune_json(t, stopped ? cli_interrupt_name(stopped) : NULL);
    else
        cli_tune_tell(t, stdout);
    fflush(stdout); /* the tables come before the reason for their end */
    if (!code && picture && !stopped) code = draw(t, picture, svg);
    if (code) return code;
    if (stopped)
        return cli_fail(128 + stopped, "stopped by %s; the tables have what was complete%s",
                        cli_interrupt_name(stopped), picture ? ", and no picture was drawn" : "");
    return t->chosen ? CLI_OK : cli_fail(CLI_DATA, "every rate diverged");
}

int cli_tune(const cli_args *args)
{
    cli_tuning t = { .args = args };
    const char *picture = cli_text(args, "output", NULL);
    int svg = 0;
    int code = prepare(&t, picture, &svg);
    if (!code && !cli_has(args, "json")) code = tell_about(&t);
    if (!code) {
        cli_interrupt_catch();
        code = run(&t);
    }
    if (!code) code = tell(&t, picture, svg);
    free(t.tries);
    free(t.range.points);
    cli_settings_free(&t.settings);
    cli_study_close(&t.study);
    return code;
}
