#include "cli/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/names.h"
#include "cli/ranks.h"
#include "cli/sample.h"
#include "cli/storage.h"

/* ---- before the first step ------------------------------------------------------------ */

static int fresh_settings(cli_training *t)
{
    const char *name = cli_text(t->args, "optimizer", NULL);
    int code = cli_settings_create(&t->settings, name ? name : lab_task_optimizer(t->task));
    if (!code) code = cli_settings_from(&t->settings, t->args);
    if (!code) code = cli_source_settings(t->args, &t->settings);
    if (!code) code = cli_settings_check(&t->settings, t->args->command);
    if (code) return code;
    const size_t decay = eden_rule_hyper_index(t->settings.rule, "weight_decay");
    if (cli_has(t->args, "no-decay") && (decay == SIZE_MAX || t->settings.values[decay] == 0))
        return cli_usage(t->args->command, "--no-decay does nothing, since %s has no weight decay%s",
                         t->settings.name, decay == SIZE_MAX ? "" : " (--weight-decay is 0)");
    return CLI_OK;
}

static int fresh_config(cli_training *t)
{
    int code = cli_source_config(t->args, &t->data, &t->config, &t->texts);
    if (!code) code = cli_storage_check(&t->config.storage, &t->settings, t->args->command);
    if (!code) code = cli_task_rate(t->args, &t->config, &t->settings, &t->source);
    if (code) return code;
    t->settings_text = cli_settings_text(&t->settings);
    if (!t->settings_text) return cli_no_memory();
    t->config.optimizer = t->settings.name;
    t->config.settings = *t->settings_text ? t->settings_text : NULL;
    return CLI_OK;
}

/* A run that cannot be: by the line, or by what the checkpoint says of it. */
static int refuse_run(const cli_training *t, const eden_error *error)
{
    if (!t->resume || error->status == EDEN_E_MEMORY || error->status == EDEN_E_MISMATCH)
        return cli_fail_eden(error, t->resume ? CLI_READING : CLI_RUNNING);
    return cli_fail(CLI_DATA, "'%.200s' is damaged or of other data, since its notes make no run: %.600s",
                    t->resume, error->text);
}

static int prepare(cli_training *t)
{
    eden_error error = { 0, "" };
    int code = cli_train_check(t);
    if (!code) code = t->resume ? cli_train_resume(t) : fresh_settings(t);
    const uint64_t seed = t->resume ? t->config.seed : cli_count(t->args, "seed", 1);
    if (!code) code = cli_source_load(t->args, seed, &t->data);
    t->data.transfer.resumed = t->resume != NULL;
    if (t->resume) t->data.transfer.from = NULL; /* of --continue, which may begin with it */
    if (!code && !t->resume) code = fresh_config(t);
    code = cli_ranks_agree(code);
    if (code) return code;
    const lab_alike from = { "to go on from", t->resume ? t->resume : "nothing" };
    if (lab_ranks_compare(cli_ranks(), &from, 1, &error)) return cli_fail_eden(&error, CLI_READING);
    t->config.early_stop = cli_count(t->args, "early-stop", 0);
    cli_ranks_config(&t->config);
    if (t->config.parts % lab_ranks_count(cli_ranks()))
        return cli_usage(t->args->command, "%lu parts are not shared evenly by %lu ranks",
                         (unsigned long)t->config.parts, (unsigned long)cli_ranks()->ranks);
    if (lab_run_create_for(&t->run, &t->config, t->data.kind, t->data.at, &error))
        return t->data.transfer.from ? cli_fail_eden(&error, CLI_READING) : refuse_run(t, &error);
    code = t->resume ? cli_task_check_batch(t->args, lab_run_problem(t->run)->examples, t->config.batch)
                     : CLI_OK;
    if (code) return code;
    if (lab_run_fits(t->run, &error)) return cli_fail_eden(&error, CLI_RUNNING);
    if (t->resume && lab_run_load(t->run, t->resume, &error))
        return error.status == EDEN_E_FORMAT ? cli_train_refuse(t->resume, CLI_DATA, error.text)
                                             : cli_fail_eden(&error, CLI_READING);
    if (t->resume && t->save.path && !strcmp(t->resume, t->save.path))
        t->save.step = lab_run_progress(t->run)->step;
    t->header = cli_log_header(t->task, &t->config, lab_run_problem(t->run),
                               t->data.kind == &lab_supervised ? t->data.data.classes : 0,
                               lab_run_progress(t->run)->steps);
    t->history = json_array();
    return t->header && t->history ? CLI_OK : cli_no_memory();
}

static void wrapped(const cli_training *t, const char *head, const char *text)
{
    fprintf(t->out, "%-10s", head);
    cli_wrap(t->out, 10, 10, 79, text);
    fputc('\n', t->out);
}

static void print_head(const cli_training *t)
{
    char text[CLI_TASK_ROOM], number[CLI_NUMBER_ROOM] = "default", storage[CLI_STORAGE_ROOM];
    const lab_progress *p = lab_run_progress(t->run);
    const lab_config *c = &t->config;
    const size_t lr = eden_rule_hyper_index(t->settings.rule, "lr");
    if (lr != SIZE_MAX) cli_print_number(t->settings.values[lr], number);
    cli_put(t->out, "data      ", lab_run_problem(t->run)->data, "\n");
    wrapped(t, "", cli_source_describe(&t->data, lab_run_problem(t->run), text));
    wrapped(t, "model", lab_run_problem(t->run)->network);
    if (lab_run_problem(t->run)->start) wrapped(t, "start", lab_run_problem(t->run)->start);
    const int column = fprintf(t->out, "%-10s%s, lr %s (", "optimizer", t->settings.name, number);
    cli_wrap(t->out, 10, column, 79, t->source);
    fprintf(t->out, ")\n");
    if (!cli_storage_is_plain(&c->storage))
        fprintf(t->out, "%-10s%s\n", "storage", cli_storage_text(&c->storage, storage));
    if (c->schedule) fprintf(t->out, "%-10s%s\n", "schedule", c->schedule);
    if (c->average)
        fprintf(t->out, "%-10s%s; test results are of the averaged weights\n", "average", c->average);
    fprintf(t->out, "%-10sbatch %llu, %llu epoch%s of %llu steps, seed %llu, ", "run",
            (unsigned long long)c->batch, (unsigned long long)c->epochs, c->epochs == 1 ? "" : "s",
            (unsigned long long)(p->steps / c->epochs), (unsigned long long)c->seed);
    fprintf(t->out, c->threads == 1 ? "1 thread\n" : c->threads ? "%lu threads\n"
                                                                : "a thread a core\n",
            (unsigned long)c->threads);
    if (cli_ranks())
        fprintf(t->out, "%-10s%lu, each with a part of every batch\n", "ranks", (unsigned long)cli_ranks()->ranks);
    if (p->step)
        fprintf(t->out, "%-10sfrom step %llu of %llu%s\n", "resumed", (unsigned long long)p->step,
                (unsigned long long)p->steps,
                p->step == p->steps ? ": nothing is left; a larger --epochs goes on"
                : p->stopped_early  ? ": nothing is left, as it stopped early; a larger --early-stop goes on, "
                                      "or none"
                                    : "");
    fflush(t->out);
}

/* ---- training ---------------------------------------------------------------------------- */

static int broke_off(cli_training *t, const eden_error *error)
{
    eden_error told = *error;
    cli_progress_clear(&t->progress);
    const cli_kept *kept = t->save.path ? &t->save : &t->best;
    if (kept->path && kept->step != UINT64_MAX)
        snprintf(told.text, sizeof told.text, "%.380s; '%.80s' still holds step %llu", error->text,
                 kept->path, (unsigned long long)kept->step);
    return cli_fail_eden(&told, CLI_RUNNING);
}

/* As SIGUSR1 asks, in the midst of an epoch. */
static void save_now(cli_training *t)
{
    cli_progress_clear(&t->progress);
    if (!t->save.path) {
        cli_warn("SIGUSR1 asks to save, but there is no --save; training goes on");
        return;
    }
    cli_train_save(t, 0);
    if (t->save.code) return;
    fprintf(t->out, "saved step %llu\n", (unsigned long long)t->save.step);
    fflush(t->out);
}

/* All steps, or as many as a signal or a failure allows. */
static int loop(cli_training *t)
{
    int done = 0;
    eden_error error = { 0, "" };
    const lab_progress *p = lab_run_progress(t->run);
    cli_progress_begin(&t->progress, t->out, p, t->config.epochs);
    cli_interrupt_catch();
    if (t->resume) cli_train_find_best(t);
    while (!lab_run_over(p) && !cli_interrupt()) {
        if (lab_run_step(t->run, &done, &error)) return broke_off(t, &error);
        cli_ranks_meet();
        cli_log_write(&t->log, p);
        cli_progress_show(&t->progress, p);
        cli_train_save_best(t);
        if (cli_interrupt_save() && !lab_run_over(p)) save_now(t);
        if (!p->evaluated) continue;
        if (json_array_append_new(t->history, cli_log_epoch(p))) return cli_no_memory();
        if (!lab_run_over(p) && t->save.step != p->step) cli_train_save(t, 0);
    }
    cli_progress_clear(&t->progress);
    if (t->save.step != p->step) cli_train_save(t, 1);
    return CLI_OK;
}

static void print_test(const cli_training *t, double loss, double metric)
{
    char text[CLI_METRIC_ROOM], line[400];
    const lab_metric *m = &lab_run_progress(t->run)->metric;
    int n = snprintf(line, sizeof line, "loss %.4f%s%.60s", loss, *m->loss_unit ? " " : "", m->loss_unit);
    if (m->name)
        n += snprintf(line + n, sizeof line - (size_t)n, ", %.60s %s", m->name, cli_metric_text(m, metric, 0, text));
    const lab_fact *facts = lab_run_progress(t->run)->facts;
    for (int i = 0; facts && i < LAB_FACTS; i++)
        if (facts[i].metric.name && !isnan(facts[i].value))
            n += snprintf(line + n, sizeof line - (size_t)n, ", %.60s %s", facts[i].metric.name,
                          cli_metric_text(&facts[i].metric, facts[i].value, 0, text));
    wrapped(t, "test", line);
}

static void print_end(const cli_training *t)
{
    char text[CLI_NUMBER_ROOM];
    const lab_progress *p = lab_run_progress(t->run);
    if (cli_interrupt() && !lab_run_over(p)) {
        fprintf(t->out, "stopped by %s at step %llu of %llu; ", cli_interrupt_name(cli_interrupt()),
                (unsigned long long)p->step, (unsigned long long)p->steps);
        if (t->save.path && !t->save.code) {
            fputs("resume with\n", t->out);
            cli_train_print_resume(t);
        } else {
            if (t->best.step == UINT64_MAX)
                fputs("nothing was saved", t->out);
            else
                fprintf(t->out, "only the best was saved, of step %llu", (unsigned long long)t->best.step);
            fprintf(t->out, "%s\n", t->save.path ? "" : ", as there was no --save");
        }
        return;
    }
    cli_train_tell_best(t);
    print_test(t, p->test_loss, p->test_accuracy);
    if (p->seconds > 0) {
        fprintf(t->out, "%-10s%s, %.3g ms a step, %.0f%% of it in the optimizer\n", "time",
                cli_print_time(p->seconds, text),
                1e3 * p->step_seconds / (double)(p->step - t->progress.from),
                100 * p->optimizer_seconds / p->step_seconds);
    }
    cli_train_tell_saved(t);
}

/* A run that was stopped makes no sample. */
static int sample(cli_training *t)
{
    const lab_progress *p = lab_run_progress(t->run);
    if (!lab_run_over(p)) return CLI_OK;
    return cli_sample(t, cli_has(t->args, "json") ? t->header : NULL);
}

/* One document on stdout: the header, where the run ended, and the epochs. */
static int print_json(cli_training *t)
{
    const lab_progress *p = lab_run_progress(t->run);
    const int stopped = lab_run_over(p) ? 0 : cli_interrupt();
    json_t *end = cli_log_epoch(p), *json = t->header;
    t->header = NULL;
    if (!end || json_object_update(json, end)
        || json_object_set_new(json, "lr_source", cli_json_text(t->source))
        || json_object_set_new(json, "state_bytes_per_weight",
                               cli_json_number(p->state_bytes_per_weight))
        || json_object_set_new(json, "stopped",
                               stopped ? json_string(cli_interrupt_name(stopped)) : json_null())
        || json_object_set_new(json, "stopped_early", json_boolean(p->stopped_early))
        || json_object_set(json, "history", t->history)) {
        json_decref(json);
        json = NULL;
    }
    json_decref(end);
    return cli_json_print(json, stdout, 2);
}

static int train(cli_training *t)
{
    const char *log = cli_text(t->args, "log", NULL);
    const lab_progress *p = lab_run_progress(t->run);
    int code = CLI_OK;
    t->log.clipped = t->config.clip_norm > 0;
    print_head(t);
    if (log && cli_ranks_lead()) code = cli_log_open(&t->log, log, json_incref(t->header), p->step);
    code = cli_ranks_agree(code);
    if (!code) code = loop(t);
    const int log_code = cli_log_close(&t->log);
    if (code) return code;
    print_end(t);
    code = sample(t);
    if (!code && cli_has(t->args, "json")) code = print_json(t);
    if (!code) code = t->save.code ? t->save.code : t->best.code;
    if (!code && cli_interrupt() && !lab_run_over(p)) code = 128 + cli_interrupt();
    return code ? code : log_code;
}

static int evaluate(cli_training *t)
{
    char metric[64];
    double loss = NAN, accuracy = NAN;
    eden_error error = { 0, "" };
    const lab_progress *p = lab_run_progress(t->run);
    if (lab_run_evaluate(t->run, &loss, &accuracy, &error))
        return cli_fail_eden(&error, CLI_RUNNING);
    const int json = cli_has(t->args, "json");
    if (!json) {
        print_head(t);
        print_test(t, loss, accuracy);
    }
    const int code = cli_has(t->args, "sample") || cli_has(t->args, "sheet") ? cli_sample(t, json ? t->header : NULL) : CLI_OK;
    if (!code && json) {
        json_object_set_new(t->header, "step", json_integer((json_int_t)p->step));
        json_object_set_new(t->header, "test_loss", cli_json_exact(loss));
        snprintf(metric, sizeof metric, "test_%.50s", p->metric.name ? p->metric.name : "accuracy");
        json_object_set_new(t->header, metric, cli_json_exact(accuracy));
        cli_log_facts(t->header, p);
        return cli_json_print(json_incref(t->header), stdout, 2);
    }
    return code;
}

int cli_train(const cli_args *args)
{
    cli_training t = { .args = args };
    cli_interrupt_prepare();
    int code = prepare(&t);
    if (!code) code = cli_has(args, "eval") ? evaluate(&t) : train(&t);
    json_decref(t.header);
    json_decref(t.history);
    lab_run_destroy(t.run);
    cli_source_free(&t.data);
    lab_saved_close(t.saved);
    cli_lock_release(&t.save.lock);
    cli_lock_release(&t.best.lock);
    cli_lock_release(&t.log_lock);
    cli_settings_free(&t.settings);
    free(t.settings_text);
    free(t.older);
    return code;
}
