/* compare.c - `eden compare`. */
#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/commands.h"
#include "cli/compare_bar.h"
#include "cli/compare_batches.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/report.h"

/* ---- what is asked ------------------------------------------------------------------- */

/* For people a target is as the table shows the results: an accuracy in percent, another
 * metric in its unit, or a test loss. */
static int read_target(cli_comparison *c)
{
    const lab_metric *m = &c->study.metric;
    const int percent = !strcmp(cli_goal_unit(m), "%");
    const int usual = m->name && !strcmp(m->name, "accuracy");
    c->target = cli_real(c->args, "target", usual ? 95 : NAN) / cli_goal_scale(m);
    if (!percent || !(c->target > 1)) return CLI_OK;
    return cli_usage(c->args->command, "--target %s is more than 100 percent of the test set",
                     cli_text(c->args, "target", ""));
}

int cli_compare_prepare(cli_comparison *c)
{
    c->seeds = (size_t)cli_count(c->args, "seeds", 1);
    c->budget = (size_t)cli_count(c->args, "budget", 0);
    int code = cli_study_open(&c->study, c->args);
    if (!code) code = cli_entries_create(c);
    if (!code) code = read_target(c);
    return code;
}

/* ---- training ------------------------------------------------------------------------ */

typedef struct {
    cli_bar bar;
    uint64_t each, last;   /* steps of a run, of those that follow one another; the last seen */
    const char *prefix;
    char label[160];
} watcher;

static int watch(void *context, const lab_progress *progress)
{
    watcher *w = context;
    cli_ranks_meet();
    if (w->each && progress->step < w->last) w->bar.done += w->each;
    w->last = progress->step;
    cli_bar_show(&w->bar, w->bar.done + progress->step, w->label);
    return !cli_interrupt();
}

static int tune_all(cli_comparison *c, watcher *w, uint64_t steps)
{
    int code = CLI_OK;
    for (size_t i = 0; !code && c->budget && i < c->count && !cli_interrupt(); i++) {
        snprintf(w->label, sizeof w->label, "%.40srates of %.40s (%zu/%zu)", w->prefix, c->entries[i].name, i + 1,
                 c->count);
        w->each = steps;
        code = cli_compare_tune(c, &c->entries[i], watch, w);
        w->each = 0;
        w->bar.done = steps * c->budget * (i + 1);
    }
    return code;
}

int cli_compare_all(cli_comparison *c, const char *label)
{
    watcher w = { .prefix = label };
    const uint64_t steps = c->study.epoch_steps * c->study.config.epochs;
    cli_bar_begin(&w.bar, cli_people(), steps * c->count * (c->seeds + c->budget));
    int code = tune_all(c, &w, steps);
    for (size_t i = 0; !code && i < c->seeds; i++) code = cli_compare_control(c, i);
    for (size_t i = 0; !code && i < c->count; i++)
        for (size_t k = 0; !code && k < c->seeds && !cli_interrupt(); k++) {
            if (c->seeds > 1)
                snprintf(w.label, sizeof w.label, "%.40s%.40s (%zu/%zu), seed %zu/%zu", label,
                         c->entries[i].name, i + 1, c->count, k + 1, c->seeds);
            else
                snprintf(w.label, sizeof w.label, "%.40s%.40s (%zu/%zu)", label, c->entries[i].name,
                         i + 1, c->count);
            code = cli_compare_train(c, &c->entries[i], k, watch, &w);
            w.bar.done += steps;
        }
    cli_bar_clear(&w.bar);
    return code;
}

/* ---- telling ------------------------------------------------------------------------- */

static int tell_about(const cli_comparison *c)
{
    char *about = cli_compare_about(c);
    if (!about) return cli_no_memory();
    cli_wrap(stdout, 2, 0, 79, about);
    fputs("\n\n", stdout);
    fflush(stdout); /* it is there to be read while the networks train */
    free(about);
    return CLI_OK;
}

static int all_diverged(const cli_comparison *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (cli_summarize(c, &c->entries[i]).diverged < c->seeds) return 0;
    return 1;
}

static int tell(const cli_comparison *c, const char *report)
{
    const int json = cli_has(c->args, "json");
    int code = CLI_OK;
    /* Without its control no row can be judged. */
    if (!cli_entry_complete(c, &c->control)) return CLI_OK;
    if (json)
        code = cli_compare_json(c);
    else
        cli_compare_table(c, stdout);
    if (code || cli_interrupt()) return code;
    if (report) code = cli_report_write(c, report);
    if (report && !code && !json) cli_put(stdout, "\nReport: ", report, "/index.html\n");
    if (!code && all_diverged(c)) code = cli_fail(CLI_DATA, "every optimizer diverged");
    return code;
}

static int compare(cli_comparison *c)
{
    int made = 0;
    const char *report = cli_text(c->args, "report", NULL);
    int code = cli_compare_prepare(c);
    if (!cli_ranks_lead()) report = NULL;
    if (!code && report) code = cli_report_spares(c->args, report);
    if (!code && report) code = cli_report_check(report, &made);
    if (!code && !cli_has(c->args, "json")) code = tell_about(c);
    code = cli_ranks_agree(code);
    if (!code) {
        cli_interrupt_catch();
        code = cli_compare_all(c, "");
    }
    if (!code) code = tell(c, report);
    fflush(stdout); /* the table comes before the reason for its end */
    if (!code && cli_interrupt())
        code = cli_fail(128 + cli_interrupt(), "stopped by %s; the table has what was complete%s",
                        cli_interrupt_name(cli_interrupt()),
                        report ? ", and no report was written" : "");
    if (code && made) rmdir(report); /* fails, as it should, if files are there */
    return code;
}

void cli_compare_free(cli_comparison *c)
{
    cli_entries_free(c);
    cli_study_close(&c->study);
}

/* Images at four sizes of the batch are a task that people ask for by a name of its own. */
static int large_batches(const cli_args *args)
{
    cli_args more = *args;
    const char *digits = "digits";
    const cli_value usual[] = { { "batches", "32,128,512,all" }, { "rate-scaling", "sqrt" } };
    more.operands = &digits;
    if (args->operand_count > 1)
        return cli_usage(args->command, "bigbatch comes with Eden and takes no '%.60s'", args->operands[1]);
    more.options = calloc(args->option_count + 2, sizeof *more.options);
    if (!more.options) return cli_no_memory();
    for (size_t i = 0; i < args->option_count; i++) more.options[i] = args->options[i];
    for (size_t i = 0; i < 2; i++)
        if (!cli_has(args, usual[i].name)) more.options[more.option_count++] = usual[i];
    const int code = cli_compare_batches(&more);
    free(more.options);
    return code;
}

int cli_compare(const cli_args *args)
{
    cli_comparison c = { .args = args };
    if (!strcmp(args->operands[0], "bigbatch")) return large_batches(args);
    if (cli_has(args, "batches")) return cli_compare_batches(args);
    const int code = compare(&c);
    cli_compare_free(&c);
    return code;
}
