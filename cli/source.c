#include "cli/source.h"

#include <string.h>

#include "cli/finetune.h"
#include "cli/names.h"
#include "cli/storage.h"
#include "lab/options.h"
#include "lab/rates.h"

/* ---- loading --------------------------------------------------------------------------- */

static int is_text(const cli_args *args) { return !strcmp(args->operands[0], "text"); }

int cli_source_load(const cli_args *args, uint64_t seed, cli_source *source)
{
    const char *name;
    eden_error error = { 0, "" };
    *source = (cli_source){ .kind = &lab_supervised };
    int code = cli_task_name(args, &name);
    if (code) return code;
    if (!is_text(args)) {
        source->at = &source->data;
        code = cli_task_load(args, seed, &source->data);
        return !code && cli_finetune_is(args) ? cli_finetune_load(args, source) : code;
    }
    const char *path = args->operand_count > 1 ? args->operands[1] : NULL;
    source->kind = &lab_language;
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
    if (source->kind == &lab_supervised) return cli_task_describe(&source->data, text);
    snprintf(text, CLI_TASK_ROOM, "%s training and %s test bytes of text",
             cli_grouped(source->text.train, train),
             cli_grouped(source->text.count - source->text.train, test));
    return text;
}

/* ---- how to train ---------------------------------------------------------------------- */

enum { EPOCHS = 8, BATCH = 12, WARMUP = 100 };

/* The options of a text, in the order in which a config has them. */
static const struct {
    const char *name;
    uint64_t usual;
} options[] = { { "context", 64 }, { "heads", 4 }, { "layers", 4 }, { "width", 128 } };
enum { OPTIONS = sizeof options / sizeof *options };

/* The rate rises over some steps and falls along a cosine to a tenth. */
static void set_schedule(const cli_args *args, lab_config *config, cli_config_texts *texts)
{
    const uint64_t each = config->accumulate ? config->accumulate : 1;
    const uint64_t steps = config->epochs * ((LAB_TEXT_EPOCH + each - 1) / each);
    if (config->schedule) return;
    if (!cli_has(args, "warmup")) config->warmup = steps / 10 < WARMUP ? steps / 10 : WARMUP;
    snprintf(texts->schedule, sizeof texts->schedule, "cosine(%llu, end=0.1)",
             (unsigned long long)steps);
    config->schedule = texts->schedule;
}

int cli_source_config(const cli_args *args, const cli_source *source, lab_config *config,
                      cli_config_texts *texts)
{
    if (source->kind == &lab_finetune) return cli_finetune_config(args, source, config, texts);
    if (source->kind == &lab_supervised)
        return cli_task_config(args, &source->data, config, texts->schedule);
    const uint64_t seed = cli_count(args, "seed", 1);
    const uint32_t threads = (uint32_t)cli_count(args, "threads", 0);
    *config = (lab_config){
        .no_decay = "1",
        .schedule = cli_text(args, "schedule", NULL),
        .warmup = cli_count(args, "warmup", 0),
        .epochs = cli_count(args, "epochs", EPOCHS),
        .batch = cli_count(args, "batch", BATCH),
        .clip_norm = cli_real(args, "clip", 1),
        .accumulate = (uint32_t)cli_count(args, "accumulate", 0),
        .average = cli_text(args, "average", NULL),
        .seed = seed,
        .threads = threads,
        .model = { .kind = "transformer", .dropout = cli_real(args, "dropout", 0), .seed = seed,
                   .threads = threads },
        .task = texts->options,
    };
    int at = 0;
    for (size_t i = 0; i < OPTIONS; i++)
        at += snprintf(texts->options + at, sizeof texts->options - (size_t)at, "%s%s=%llu",
                       i ? "," : "", options[i].name,
                       (unsigned long long)cli_count(args, options[i].name, options[i].usual));
    set_schedule(args, config, texts);
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
