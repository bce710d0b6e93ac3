#include "cli/source.h"

#include <string.h>

#include "cli/finetune.h"
#include "cli/names.h"
#include "cli/storage.h"
#include "lab/options.h"
#include "lab/rates.h"

/* What tasks do unless told otherwise; those that are not here are task.c's. A rate rises
 * over some steps and falls along a cosine to a tenth. */
typedef struct {
    const char *name;
    const lab_problem_kind *kind;
    const char *model;
    uint64_t epochs, batch, warmup;
    double clip, dropout;
    int no_decay;
} usual;

static const usual tasks[] = {
    { "text", &lab_language, "transformer", 8, 12, 100, 1, 0, 1 },
    { "rl", &lab_reinforcement, "mlp", 10, 64, 0, 0.5, 0, 0 },
    { "gan", &lab_adversarial, "mlp", 50, 64, 0, 0, 0, 0 },
};

/* Their options, in the order in which a config has them. */
static const struct {
    const char *task, *name;
    uint64_t usual;
} options[] = {
    { "text", "context", 64 }, { "text", "heads", 4 },     { "text", "layers", 4 },
    { "text", "width", 128 },  { "rl", "envs", 16 },       { "rl", "horizon", 128 },
    { "rl", "passes", 10 },    { "gan", "noise", 32 },
};
enum { OPTIONS = sizeof options / sizeof *options };

static const usual *usual_of(const cli_args *args)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (!strcmp(tasks[i].name, args->operands[0])) return &tasks[i];
    return NULL;
}

/* ---- loading --------------------------------------------------------------------------- */

int cli_source_load(const cli_args *args, uint64_t seed, cli_source *source)
{
    const char *name;
    eden_error error = { 0, "" };
    *source = (cli_source){ .kind = &lab_supervised };
    int code = cli_task_name(args, &name);
    if (code) return code;
    const usual *t = usual_of(args);
    if (t) source->kind = t->kind;
    if (source->kind == &lab_reinforcement) return CLI_OK;
    if (source->kind != &lab_language) {
        source->at = &source->data;
        code = cli_task_load(args, seed, &source->data);
        return !code && cli_finetune_is(args) ? cli_finetune_load(args, source) : code;
    }
    const char *path = args->operand_count > 1 ? args->operands[1] : NULL;
    source->at = &source->text;
    code = path ? cli_can_read(path, 0) : CLI_OK;
    if (code) return code;
    return lab_text_load(&source->text, path, &error) ? cli_fail_eden(&error, CLI_READING) : CLI_OK;
}

void cli_source_free(cli_source *source)
{
    lab_data_free(&source->data);
    lab_text_free(&source->text);
}

const char *cli_source_describe(const cli_source *source, const lab_problem *problem, char *text)
{
    char train[32], test[32];
    if (source->kind == &lab_finetune) return cli_finetune_describe(source, problem->examples, text);
    if (source->kind == &lab_reinforcement) {
        snprintf(text, CLI_TASK_ROOM, "episodes of at most 500 steps, a point each; the test is 100 of "
                 "them by the likelier action");
        return text;
    }
    if (source->kind != &lab_language) return cli_task_describe(&source->data, text);
    snprintf(text, CLI_TASK_ROOM, "%s training and %s test bytes of text",
             cli_grouped(source->text.train, train),
             cli_grouped(source->text.count - source->text.train, test));
    return text;
}

/* ---- how to train ---------------------------------------------------------------------- */

/* Batches of an epoch, as the problem will have them. */
static uint64_t epoch_of(const cli_args *args, const usual *t, const lab_config *config)
{
    if (t->kind == &lab_language) return LAB_TEXT_EPOCH;
    if (t->kind == &lab_adversarial) return LAB_GAN_EPOCH;
    uint64_t value[3];
    for (int i = 0; i < 3; i++)
        value[i] = cli_count(args, options[4 + i].name, options[4 + i].usual);
    const uint64_t rows = value[0] * value[1], batch = config->batch < rows ? config->batch : rows;
    return LAB_RL_ROLLOUTS * value[2] * ((rows - 1) / batch + 1);
}

static void set_schedule(const cli_args *args, const usual *t, lab_config *config,
                         cli_config_texts *texts)
{
    const uint64_t each = config->accumulate ? config->accumulate : 1;
    const uint64_t steps = config->epochs * ((epoch_of(args, t, config) + each - 1) / each);
    if (config->schedule) return;
    if (!cli_has(args, "warmup")) config->warmup = steps / 10 < t->warmup ? steps / 10 : t->warmup;
    snprintf(texts->schedule, sizeof texts->schedule, "cosine(%llu, end=0.1)",
             (unsigned long long)steps);
    config->schedule = texts->schedule;
}

static void write_options(const cli_args *args, const usual *t, cli_config_texts *texts)
{
    int at = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].task, t->name) != 0) continue;
        at += snprintf(texts->options + at, sizeof texts->options - (size_t)at, "%s%s=%llu",
                       at ? "," : "", options[i].name,
                       (unsigned long long)cli_count(args, options[i].name, options[i].usual));
    }
}

int cli_source_config(const cli_args *args, const cli_source *source, lab_config *config,
                      cli_config_texts *texts)
{
    const usual *t = usual_of(args);
    if (source->kind == &lab_finetune) return cli_finetune_config(args, source, config, texts);
    if (!t) return cli_task_config(args, &source->data, config, texts->schedule);
    const uint64_t seed = cli_count(args, "seed", 1);
    const uint32_t threads = (uint32_t)cli_count(args, "threads", 0);
    *config = (lab_config){
        .no_decay = t->no_decay || cli_has(args, "no-decay") ? "1" : NULL,
        .schedule = cli_text(args, "schedule", NULL),
        .warmup = cli_count(args, "warmup", 0),
        .epochs = cli_count(args, "epochs", t->epochs),
        .batch = cli_count(args, "batch", t->batch),
        .clip_norm = cli_real(args, "clip", t->clip),
        .accumulate = (uint32_t)cli_count(args, "accumulate", 0),
        .parts = (uint32_t)cli_count(args, "parts", 0),
        .average = cli_text(args, "average", NULL),
        .seed = seed,
        .threads = threads,
        .model = { .kind = t->model, .widths = cli_text(args, "widths", NULL),
                   .dropout = cli_real(args, "dropout", t->dropout), .seed = seed,
                   .threads = threads },
        .task = texts->options,
    };
    write_options(args, t, texts);
    set_schedule(args, t, config, texts);
    return cli_storage_read(args, &config->storage);
}

int cli_source_settings(const cli_args *args, cli_settings *settings)
{
    char name[64], value[64];
    const char *at = lab_task_settings(args->operands[0], settings->name);
    int code = CLI_OK;
    while (!code && *at) {
        const size_t length = strcspn(at, "="), item = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        snprintf(value, sizeof value, "%.*s", (int)(item - length - 1), at + length + 1);
        const size_t i = eden_rule_hyper_index(settings->rule, name);
        if (i != SIZE_MAX && !settings->given[i])
            code = cli_settings_set(settings, args->command, name, value);
        at += item + (at[item] == ',');
    }
    return code;
}

int cli_source_check(const cli_args *args, const char *theirs, cli_refuse_option refuse,
                     const void *context)
{
    if (cli_finetune_is(args)) return cli_finetune_check(args, theirs, refuse, context);
    uint64_t values[OPTIONS] = { 0 };
    lab_option read[OPTIONS + 1] = { { NULL, NULL } };
    for (size_t i = 0; i < OPTIONS; i++) read[i] = (lab_option){ options[i].name, &values[i] };
    if (!theirs || lab_options_read(theirs, read, NULL)) return CLI_OK;
    for (size_t i = 0; i < OPTIONS; i++) {
        char have[32];
        if (!cli_has(args, options[i].name)) continue;
        if (cli_count(args, options[i].name, 0) == values[i]) continue;
        snprintf(have, sizeof have, "%llu", (unsigned long long)values[i]);
        return refuse(context, options[i].name, cli_text(args, options[i].name, ""), have);
    }
    return CLI_OK;
}
