#include "cli/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/storage.h"

/* ---- records ------------------------------------------------------------------------ */

static json_t *settings_json(const lab_config *config)
{
    char text[64];
    cli_settings settings = { 0 };
    json_t *json = json_object();
    int code = cli_settings_create(&settings, config->optimizer);
    if (!code && config->settings) code = cli_settings_list(&settings, NULL, config->settings);
    for (size_t i = 0; !code && i < settings.count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(settings.rule, i);
        json_object_set_new(json, hyper->name,
                            hyper->kind == EDEN_CHOICE
                                ? cli_json_text(cli_value_text(hyper, settings.values[i], text))
                                : cli_json_exact(settings.values[i]));
    }
    cli_settings_free(&settings);
    if (code) json_decref(json);
    return code ? NULL : json;
}

static json_t *whole(uint64_t value) { return json_integer((json_int_t)value); }

json_t *cli_log_header(const char *task, const lab_config *config, const lab_problem *problem,
                       uint32_t classes, uint64_t steps)
{
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)problem->hash);
    json_t *settings = settings_json(config);
    if (!settings) return NULL;
    json_t *json = json_pack(
        "{ss, ss, ss, so, ss, ss, so, so, ss, so, so, so, so, so, so, sb, so, so, so, so, so}",
        "command", "train", "version", eden_version(), "task", task,
        "data", cli_json_text(problem->data), "hash", hash, "model", config->model.kind,
        "network", cli_json_text(problem->network),
        "weights", whole(problem->weights), "optimizer", config->optimizer,
        "settings", settings,
        "schedule", config->schedule ? cli_json_text(config->schedule) : json_null(),
        "warmup", whole(config->warmup), "clip", cli_json_exact(config->clip_norm),
        "accumulate", whole(config->accumulate ? config->accumulate : 1),
        "average", config->average ? cli_json_text(config->average) : json_null(),
        "no_decay", config->no_decay != NULL, "classes", whole(classes),
        "batch", whole(config->batch), "seed", whole(config->seed),
        "epochs", whole(config->epochs), "steps", whole(steps));
    if (json && !cli_storage_is_plain(&config->storage)
        && json_object_set_new(json, "storage", cli_storage_json(&config->storage))) {
        json_decref(json);
        return NULL;
    }
    if (json && config->parts && json_object_set_new(json, "parts", whole(config->parts))) {
        json_decref(json);
        return NULL;
    }
    if (json && config->task && json_object_set_new(json, "options", cli_json_text(config->task))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static const char *metric_of(const lab_progress *p)
{
    return p->metric.name ? p->metric.name : "accuracy";
}

json_t *cli_log_step(const lab_progress *p, int clipped)
{
    json_t *json = json_pack("{so, so, so, so, so}", "step", whole(p->step), "epoch",
                             whole(p->epoch), "lr", cli_json_exact(p->lr), "loss",
                             cli_json_exact(p->loss), metric_of(p), cli_json_exact(p->accuracy));
    if (json && clipped) json_object_set_new(json, "grad_norm", cli_json_exact(p->grad_norm));
    if (json) json_object_set_new(json, "seconds", cli_json_number(p->seconds));
    return json;
}

void cli_log_facts(json_t *json, const lab_progress *p)
{
    char name[64];
    for (int i = 0; json && p->facts && i < LAB_FACTS; i++) {
        if (!p->facts[i].metric.name) continue;
        snprintf(name, sizeof name, "test_%.50s", p->facts[i].metric.name);
        for (char *s = name; *s; s++) *s = *s == ' ' ? '_' : *s;
        json_object_set_new(json, name, cli_json_exact(p->facts[i].value));
    }
}

json_t *cli_log_epoch(const lab_progress *p)
{
    char metric[64];
    snprintf(metric, sizeof metric, "test_%.50s", metric_of(p));
    json_t *json = json_pack("{so, so, so, so, so, so, so, so}", "step", whole(p->step), "epoch",
                     whole(p->epoch), "train_loss", cli_json_exact(p->train_loss), "test_loss",
                     cli_json_exact(p->test_loss), metric,
                     cli_json_exact(p->test_accuracy), "seconds", cli_json_number(p->seconds),
                     "step_seconds", cli_json_number(p->step_seconds), "optimizer_seconds",
                     cli_json_number(p->optimizer_seconds));
    if (json) json_object_set_new(json, "best_epoch", p->best_epoch ? whole(p->best_epoch) : json_null());
    if (json && p->stopped_early) json_object_set_new(json, "stopped_early", json_true());
    cli_log_facts(json, p);
    return json;
}

/* ---- the file ------------------------------------------------------------------------- */

/* Write a record, which is released; 0 if that failed. */
static int put(FILE *file, json_t *json)
{
    errno = 0;
    return cli_json_print(json, file, 0) == CLI_OK && !fflush(file);
}

/* Two headers are of one run if they agree in all but its length. */
static int same_run(const json_t *a, const json_t *b)
{
    static const char *const free_keys[] = { "epochs", "steps", "version" };
    json_t *x = json_copy((json_t *)(uintptr_t)a), *y = json_copy((json_t *)(uintptr_t)b);
    for (size_t i = 0; x && y && i < sizeof free_keys / sizeof *free_keys; i++) {
        json_object_del(x, free_keys[i]);
        json_object_del(y, free_keys[i]);
    }
    const int same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

static double number_of(const json_t *json, const char *key)
{
    const json_t *item = json_object_get(json, key);
    return json_is_number(item) ? json_number_value(item) : NAN;
}

/* Copy the records up to step `done` from an old log behind the header in `out`. */
static int keep_records(cli_log *log, FILE *old, FILE *out, const json_t *header, uint64_t done)
{
    char *line = NULL;
    size_t room = 0;
    double step;
    ssize_t length;
    int code = CLI_OK, first = 1;
    while (!code && (length = getline(&line, &room, old)) >= 0) {
        json_t *json = json_loadb(line, (size_t)length, 0, NULL);
        const int other = first && (!json || !json_object_get(json, "command") || !same_run(json, header));
        if (cli_lacked_memory())
            code = cli_no_memory();
        else if (other)
            code = cli_fail(CLI_DATA, "'%.200s' is not the log of the run that the checkpoint is "
                            "of; choose another --log", log->path);
        else if (!first && json && (step = number_of(json, "step")) <= (double)done) {
            const double seconds = number_of(json, "seconds");
            if (seconds > log->before) log->before = seconds;
            if (fwrite(line, 1, (size_t)length, out) != (size_t)length)
                code = cli_fail_create(log->path, errno);
        }
        /* What comes behind a torn line or a later step is to be made again. */
        const int over = !first && (!json || step > (double)done);
        json_decref(json);
        first = 0;
        if (over) break;
    }
    if (!code && ferror(old))
        code = cli_fail(cli_code(errno, CLI_IO), "cannot read '%.200s': %s", log->path, strerror(errno));
    free(line);
    return code;
}

/* Put the kept part of an old log in its place, whole or not at all. */
static int continue_log(cli_log *log, FILE *old, json_t *header, uint64_t done)
{
    const size_t room = strlen(log->path) + 8;
    char *name = malloc(room);
    if (!name) return cli_no_memory();
    snprintf(name, room, "%s.part", log->path);
    FILE *out = fopen(name, "w");
    int code = out ? CLI_OK : cli_fail_create(name, errno);
    if (!code && !put(out, json_incref(header))) code = cli_fail_create(name, errno);
    if (!code) code = keep_records(log, old, out, header, done);
    if (!code && fflush(out)) code = cli_fail(cli_code(errno, CLI_IO), "cannot write '%.200s': %s", name,
                                              strerror(errno));
    if (!code && rename(name, log->path)) code = cli_fail_create(log->path, errno);
    if (code && out) {
        fclose(out);
        unlink(name);
    }
    if (!code) log->file = out;
    free(name);
    return code;
}

int cli_log_open(cli_log *log, const char *path, json_t *header, uint64_t done)
{
    int code = CLI_OK;
    log->path = path;
    if (!header) return cli_no_memory();
    struct stat about;
    const int regular = !stat(path, &about) && S_ISREG(about.st_mode);
    FILE *old = done && regular ? fopen(path, "r") : NULL;
    const int first = old ? fgetc(old) : EOF;
    if (first != EOF) {
        rewind(old);
        code = continue_log(log, old, header, done);
    } else {
        log->file = fopen(path, "w");
        if (!log->file) code = cli_fail_create(path, errno);
        if (!code && !put(log->file, json_incref(header)))
            code = cli_fail(cli_code(errno, CLI_IO), "cannot write '%.200s': %s", path, strerror(errno));
    }
    if (old) fclose(old);
    json_decref(header);
    return code;
}

static void lose(cli_log *log)
{
    cli_warn("cannot write '%.200s': %s; training goes on without a log", log->path,
             errno ? strerror(errno) : "out of memory");
    log->code = cli_code(errno, CLI_IO);
    fclose(log->file);
    log->file = NULL;
}

void cli_log_write(cli_log *log, const lab_progress *progress)
{
    if (!log->file) return;
    lab_progress p = *progress;
    p.seconds += log->before;
    if (p.step % log->every == 0 && !put(log->file, cli_log_step(&p, log->clipped)))
        lose(log);
    if (log->file && p.evaluated && !put(log->file, cli_log_epoch(&p))) lose(log);
}

int cli_log_close(cli_log *log)
{
    if (log->file && fclose(log->file))
        log->code = cli_fail(cli_code(errno, CLI_IO), "cannot write '%.200s': %s", log->path, strerror(errno));
    log->file = NULL;
    return log->code;
}
