/* compare.c - `eden compare`. */
#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/clean.h"
#include "cli/commands.h"
#include "cli/compare_bar.h"
#include "cli/interrupt.h"
#include "cli/names.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/storage.h"
#include "cli/task.h"

static void free_entry(cli_entry *entry, size_t seeds)
{
    for (size_t i = 0; entry->trials && i < seeds; i++) free(entry->trials[i].points);
    free(entry->trials);
    free(entry->settings);
    free(entry->name);
}

static void free_comparison(cli_comparison *c)
{
    for (size_t i = 0; i < c->count; i++) free_entry(&c->entries[i], c->seeds);
    free_entry(&c->control, c->seeds);
    free(c->entries);
    free(c->network);
    lab_data_free(&c->data);
}

/* ---- which optimizers ---------------------------------------------------------------- */

/* In a comparison an optimizer may have no state, as long as another has some. */
static int check_storage(cli_comparison *c, const cli_settings *settings)
{
    lab_storage storage = c->config.storage;
    if (cli_storage_has_state(settings->rule, settings->values)) c->stateful = 1;
    else storage.state_dtype = EDEN_F32;
    return cli_storage_check(&storage, settings, c->args->command);
}

static int add_entry(cli_comparison *c, const char *name, size_t length)
{
    cli_settings settings;
    cli_entry *entry = &c->entries[c->count];
    *entry = (cli_entry){ .name = strndup(name, length), .lr = NAN,
                          .trials = calloc(c->seeds, sizeof *entry->trials) };
    c->count++;
    if (!entry->name || !entry->trials) return cli_no_memory();
    if (!length) return cli_usage(c->args->command, "--optimizers has an empty name");
    for (size_t i = 0; i + 1 < c->count; i++)
        if (!strcmp(c->entries[i].name, entry->name))
            return cli_usage(c->args->command, "--optimizers names %s twice", entry->name);
    int code = cli_settings_create(&settings, entry->name);
    if (!code) code = cli_task_rate(c->args, &c->config, &settings, &entry->source);
    if (!code) code = check_storage(c, &settings);
    if (!code) {
        const size_t lr = eden_rule_hyper_index(settings.rule, "lr");
        if (lr != SIZE_MAX) entry->lr = settings.values[lr];
        entry->settings = cli_settings_text(&settings);
        if (!entry->settings) code = cli_no_memory();
    }
    cli_settings_free(&settings);
    return code;
}

static int listed(cli_comparison *c, const char *list)
{
    int code = CLI_OK;
    for (const char *s = list; !code; s++) {
        const size_t length = strcspn(s, ",");
        code = add_entry(c, s, length);
        s += length;
        if (!*s) break;
    }
    return code;
}

static int add_entries(cli_comparison *c)
{
    size_t known, room = 1;
    const char *list = cli_text(c->args, "optimizers", NULL);
    cli_name *names = cli_names(&known);
    for (const char *s = list; s && *s; s++) room += *s == ',';
    c->entries = names ? calloc(list ? room : known + 1, sizeof *c->entries) : NULL;
    c->control = (cli_entry){ .name = strdup("none"), .lr = NAN,
                              .trials = calloc(c->seeds, sizeof *c->control.trials) };
    int code = CLI_OK;
    if (!c->entries || !c->control.name || !c->control.trials)
        code = cli_no_memory();
    else if (list)
        code = listed(c, list);
    for (size_t i = 0; !code && !list && i < known; i++)
        code = add_entry(c, names[i].name, strlen(names[i].name));
    free(names);
    if (!code && c->config.storage.state_dtype != EDEN_F32 && !c->stateful)
        return cli_storage_no_state(c->config.storage.state_dtype, "what is compared",
                                    c->args->command);
    return code;
}

/* ---- what is asked ------------------------------------------------------------------- */

static int read_target(cli_comparison *c)
{
    if (!c->data.classes) {
        c->target = cli_real(c->args, "target", 0);
        return CLI_OK;
    }
    c->target = cli_real(c->args, "target", 95) / 100;
    if (c->target <= 1) return CLI_OK;
    return cli_usage(c->args->command, "--target %s is more than 100 percent of the test set",
                     cli_text(c->args, "target", ""));
}

/* Everything that can be refused is refused before the first step. */
static int prepare(cli_comparison *c)
{
    eden_error error = { 0, "" };
    lab_model *model = NULL;
    int code = cli_task_name(c->args, &c->task);
    c->seeds = (size_t)cli_count(c->args, "seeds", 1);
    if (!code) code = cli_task_load(c->args, cli_count(c->args, "seed", 1), &c->data);
    if (!code) code = cli_task_config(c->args, &c->data, &c->config, c->schedule);
    if (!code) code = read_target(c);
    if (!code) code = add_entries(c);
    if (code) return code;
    if (lab_model_create(&model, &c->config.model, &c->data, &error))
        return cli_fail_eden(&error, CLI_RUNNING);
    c->network = strdup(lab_model_describe(model));
    c->weights = lab_model_weights(model);
    lab_model_destroy(model);
    if (!c->network) return cli_no_memory();
    for (size_t i = 0; !code && i < c->count; i++) code = cli_compare_try(c, &c->entries[i]);
    return code;
}

/* ---- training ------------------------------------------------------------------------ */

typedef struct {
    cli_bar bar;
    char label[160];
} watcher;

static int watch(void *context, const lab_progress *progress)
{
    watcher *w = context;
    cli_bar_show(&w->bar, w->bar.done + progress->step, w->label);
    return !cli_interrupt();
}

static int train_all(cli_comparison *c)
{
    watcher w;
    int code = CLI_OK;
    const uint64_t steps = c->epoch_steps * c->config.epochs;
    cli_bar_begin(&w.bar, stderr, steps * c->count * c->seeds);
    for (size_t i = 0; !code && i < c->seeds; i++) code = cli_compare_control(c, i);
    for (size_t i = 0; !code && i < c->count; i++)
        for (size_t k = 0; !code && k < c->seeds && !cli_interrupt(); k++) {
            if (c->seeds > 1)
                snprintf(w.label, sizeof w.label, "%.40s (%zu/%zu), seed %zu/%zu",
                         c->entries[i].name, i + 1, c->count, k + 1, c->seeds);
            else
                snprintf(w.label, sizeof w.label, "%.40s (%zu/%zu)", c->entries[i].name, i + 1,
                         c->count);
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
    int code = prepare(c);
    if (!code && report) code = cli_report_check(report, &made);
    if (!code && !cli_has(c->args, "json")) code = tell_about(c);
    if (!code) {
        cli_interrupt_catch();
        code = train_all(c);
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

int cli_compare(const cli_args *args)
{
    cli_comparison c = { .args = args };
    const int code = compare(&c);
    free_comparison(&c);
    return code;
}
