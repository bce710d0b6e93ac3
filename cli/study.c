#include "cli/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clean.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/storage.h"

/* ---- what all runs share ----------------------------------------------------------------- */

int cli_study_open(cli_study *study, const cli_args *args)
{
    *study = (cli_study){ .args = args };
    int code = cli_task_name(args, &study->task);
    if (!code) code = cli_source_load(args, cli_count(args, "seed", 1), &study->source);
    if (!code) code = cli_source_config(args, &study->source, &study->config, &study->texts);
    cli_ranks_config(&study->config);
    return cli_ranks_agree(code);
}

void cli_study_close(cli_study *study)
{
    free(study->data);
    free(study->contents);
    free(study->network);
    cli_source_free(&study->source);
}

int cli_study_settings(const cli_study *study, cli_settings *settings, const char **source)
{
    const int code = cli_source_settings(study->args, settings);
    return code ? code : cli_task_rate(study->args, &study->config, settings, source);
}

lab_config cli_study_config(const cli_study *study, const char *optimizer, const char *text,
                            uint64_t seed)
{
    lab_config config = study->config;
    config.optimizer = optimizer;
    config.settings = text && *text ? text : NULL;
    config.seed = config.model.seed = seed;
    return config;
}

static int learn_facts(cli_study *study, const lab_run *run)
{
    char text[CLI_TASK_ROOM];
    const lab_problem *problem = lab_run_problem(run);
    if (study->network) return CLI_OK;
    study->data = strdup(problem->data);
    study->contents = strdup(cli_source_describe(&study->source, problem, text));
    study->network = strdup(problem->network);
    study->metric = problem->metric;
    study->weights = problem->weights;
    study->epoch_steps = lab_run_progress(run)->steps / study->config.epochs;
    return study->data && study->contents && study->network ? CLI_OK : cli_no_memory();
}

int cli_study_try(cli_study *study, const char *optimizer, const char *text)
{
    eden_error error = { 0, "" };
    lab_run *run = NULL;
    const lab_config config = cli_study_config(study, optimizer, text, study->config.seed);
    eden_status status = lab_run_create_for(&run, &config, study->source.kind, study->source.at, &error);
    if (!status) status = lab_run_fits(run, &error);
    const int code = status ? cli_fail_eden(&error, CLI_RUNNING) : learn_facts(study, run);
    lab_run_destroy(run);
    return code;
}

char *cli_study_text(const cli_study *study, const char *seeds)
{
    char *text = NULL, storage[CLI_STORAGE_ROOM];
    size_t size = 0;
    const lab_config *c = &study->config;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        cli_no_memory();
        return NULL;
    }
    cli_put(out, "", study->data, ": ");
    fprintf(out, "%s\n%s; %llu epoch%s of %llu steps, batch %llu, %s", study->contents,
            study->network, (unsigned long long)c->epochs,
            c->epochs == 1 ? "" : "s", (unsigned long long)study->epoch_steps,
            (unsigned long long)c->batch, seeds);
    if (!cli_storage_is_plain(&c->storage))
        fprintf(out, "; %s", cli_storage_text(&c->storage, storage));
    return cli_close_text(out, &text);
}

/* ---- tries ------------------------------------------------------------------------------- */

int cli_rate_check(const cli_study *study, const cli_settings *settings, const char *option)
{
    const char *schedule = cli_text(study->args, "schedule", NULL);
    if (schedule && strstr(schedule, "absolute"))
        return cli_usage(study->args->command, "%s looks for a learning rate, and an absolute schedule sets "
                         "it", option);
    if (eden_rule_hyper_index(settings->rule, "lr") != SIZE_MAX) return CLI_OK;
    return cli_usage(study->args->command, "%s looks for a learning rate, and %s has none", option,
                     settings->name);
}

double cli_rate_round(double rate)
{
    char text[32];
    snprintf(text, sizeof text, "%.1e", rate);
    return strtod(text, NULL);
}

static int run_one(const cli_study *study, const cli_settings *settings, uint64_t seed,
                   cli_watch watch, void *context, cli_trial *trial)
{
    char *text = cli_settings_text(settings);
    if (!text) return cli_no_memory();
    const lab_config config = cli_study_config(study, settings->name, text, seed);
    const int code = cli_trial_train(trial, &study->source, &config, watch, context);
    free(text);
    return code;
}

int cli_rate_run(const cli_study *study, cli_settings *settings, double rate, uint64_t seed,
                 size_t seeds, cli_watch watch, void *context, cli_rate_try *result)
{
    const size_t lr = eden_rule_hyper_index(settings->rule, "lr");
    double *goals = calloc(2 * seeds, sizeof *goals);
    size_t good = 0;
    int code = goals ? CLI_OK : cli_no_memory(), stopped = 0;
    *result = (cli_rate_try){ .rate = rate };
    settings->values[lr] = rate;
    settings->given[lr] = 1;
    for (size_t i = 0; !code && !stopped && i < seeds; i++) {
        cli_trial trial = { 0 };
        code = run_one(study, settings, seed + i, watch, context, &trial);
        stopped = !trial.complete && !trial.diverged;
        result->runs += !stopped;
        result->diverged += trial.diverged != 0;
        if (!code && trial.complete) {
            const cli_point *end = &trial.points[trial.count - 1];
            goals[good] = cli_goal(&study->metric, end);
            goals[seeds + good++] = end->train_loss;
        }
        cli_trial_free(&trial);
    }
    if (goals) {
        result->goal = cli_mean_of(goals, good);
        result->train_loss = cli_mean_of(goals + seeds, good);
    }
    result->complete = !code && !stopped;
    free(goals);
    return code;
}

const cli_rate_try *cli_rate_choose(const cli_study *study, const cli_rate_try *tries,
                                    size_t count, double margin, const cli_rate_try **best)
{
    const cli_rate_try *chosen = NULL;
    *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!tries[i].complete || tries[i].diverged || !isfinite(tries[i].goal.mean)) continue;
        if (!*best || lab_goal_better(&study->metric, tries[i].goal.mean, (*best)->goal.mean))
            *best = &tries[i];
    }
    for (size_t i = 0; *best && i < count; i++) {
        if (!tries[i].complete || tries[i].diverged || !isfinite(tries[i].goal.mean)) continue;
        const double off = fabs(tries[i].goal.mean - (*best)->goal.mean);
        if (off > margin * fabs((*best)->goal.mean)) continue;
        if (!chosen || tries[i].rate < chosen->rate) chosen = &tries[i];
    }
    return chosen;
}
