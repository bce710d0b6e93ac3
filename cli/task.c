#include "cli/task.h"

#include <stdlib.h>
#include <string.h>

#include "cli/names.h"
#include "cli/storage.h"

/* What a task takes and does unless told otherwise. */
typedef struct {
    const char *name;
    const char *operand; /* NULL: none */
    enum { NOTHING, FOLDER, TABLE, MAY_BE } form; /* of the operand */
    uint64_t epochs, cnn_epochs, batch;
} task;

static const task tasks[] = {
    { "digits", NULL, NOTHING, 40, 20, 32 },
    { "mnist", "the folder of its IDX files", FOLDER, 20, 15, 64 },
    { "csv", "the file", TABLE, 40, 20, 32 },
    { "text", NULL, MAY_BE, 0, 0, 0 }, /* source.c has the rest */
};
enum { TASKS = sizeof tasks / sizeof *tasks };

static const task *find(const char *name)
{
    for (size_t i = 0; i < TASKS; i++)
        if (!strcmp(tasks[i].name, name)) return &tasks[i];
    return NULL;
}

/* compare calls the kind of a table's column otherwise, since its target is one to
 * be reached. */
static const char *kind_option(const cli_args *args)
{
    for (const cli_option *o = args->command->options; o->name; o++)
        if (!strcmp(o->name, "target-kind")) return o->name;
    return "target";
}

/* Options that say nothing to a task. */
static int check_options(const cli_args *args, const task *t)
{
    static const char *const not_of_text[] = { "model", "widths", "norm", "no-decay", NULL };
    static const char *const of_text[] = { "layers", "heads",  "width", "context",
                                           "sample", "temperature", NULL };
    const int text = t->form == MAY_BE, table = t->form == TABLE;
    if (!table && cli_has(args, "label"))
        return cli_usage(args->command, "--label is for csv; %s has %s", t->name,
                         text ? "bytes, each to be predicted" : "its labels");
    if (!table && cli_has(args, kind_option(args)))
        return cli_usage(args->command, "--%s is for csv; %s has %s", kind_option(args), t->name,
                         text ? "bytes" : "classes");
    for (const char *const *o = text ? not_of_text : of_text; *o; o++)
        if (cli_has(args, *o))
            return cli_usage(args->command, text ? "--%s is not for text, which has a transformer that "
                                                   "decays only its matrices"
                                                 : "--%s is for text alone", *o);
    if (cli_has(args, "temperature") && cli_count(args, "sample", 1) == 0)
        return cli_usage(args->command, "--temperature does nothing with --sample 0");
    return CLI_OK;
}

int cli_task_name(const cli_args *args, const char **name)
{
    const char *word = args->operands[0];
    const task *t = find(word);
    if (!t) {
        char hint[CLI_HINT_ROOM];
        cli_nearest nearest = { word, NULL, 0 };
        for (size_t i = 0; i < TASKS; i++) cli_nearest_try(&nearest, tasks[i].name);
        cli_nearest_hint(&nearest, "", hint);
        return cli_usage(args->command, "unknown task '%.60s'%s", word,
                         *hint ? hint : "; there are digits, mnist, csv and text");
    }
    *name = t->name;
    if (t->operand && args->operand_count < 2)
        return cli_usage(args->command, "%s needs %s: eden %s %s %s", t->name, t->operand,
                         args->command->name, t->name, t->form == FOLDER ? "DIR" : "FILE --label COLUMN");
    if (t->form == NOTHING && args->operand_count > 1)
        return cli_usage(args->command, "%s comes with Eden and takes no '%.60s'", t->name,
                         args->operands[1]);
    if (t->form == TABLE && !cli_has(args, "label"))
        return cli_usage(args->command, "%s needs --label COLUMN, the column to predict", t->name);
    return check_options(args, t);
}

int cli_task_load(const cli_args *args, uint64_t seed, lab_data *data)
{
    const char *name;
    eden_error error = { 0, "" };
    eden_status status;
    *data = (lab_data){ .features = 0 };
    int code = cli_task_name(args, &name);
    if (code) return code;
    const task *t = find(name);
    if (t->operand) code = cli_can_read(args->operands[1], t->form == FOLDER);
    if (code) return code;
    if (!t->operand)
        status = lab_data_digits(data, &error);
    else if (t->form == FOLDER)
        status = lab_data_idx(data, args->operands[1], &error);
    else
        status = lab_data_csv(data, args->operands[1], cli_text(args, "label", NULL),
                              cli_text(args, kind_option(args), NULL), seed, &error);
    return status ? cli_fail_eden(&error, CLI_READING) : CLI_OK;
}

/* Without --schedule the rate falls along a cosine to a hundredth over the run. */
static const char *falling(const lab_config *config, const lab_data *data,
                           char schedule[CLI_SCHEDULE_ROOM])
{
    const uint64_t batch = config->batch ? config->batch : 1;
    const uint64_t batches = (data->train.count + batch - 1) / batch;
    const uint64_t micro = config->accumulate ? config->accumulate : 1;
    const uint64_t steps = config->epochs * ((batches + micro - 1) / micro);
    snprintf(schedule, CLI_SCHEDULE_ROOM, "cosine(%llu, end=0.01)",
             (unsigned long long)(steps ? steps : 1));
    return schedule;
}

int cli_task_config(const cli_args *args, const lab_data *data, lab_config *config,
                    char schedule[CLI_SCHEDULE_ROOM])
{
    const task *t = find(args->operands[0]);
    if (!t) return cli_fail(CLI_INTERNAL, "the task has no defaults");
    const uint64_t seed = cli_count(args, "seed", 1);
    const uint32_t threads = (uint32_t)cli_count(args, "threads", 0);
    const char *model = cli_text(args, "model", "mlp");
    const int cnn = !strcmp(model, "cnn");
    *config = (lab_config){
        .no_decay = cli_has(args, "no-decay") ? "1" : NULL,
        .schedule = cli_text(args, "schedule", NULL),
        .warmup = cli_count(args, "warmup", 0),
        .epochs = cli_count(args, "epochs", cnn ? t->cnn_epochs : t->epochs),
        .batch = cli_count(args, "batch", t->batch),
        .clip_norm = cli_real(args, "clip", 0),
        .accumulate = (uint32_t)cli_count(args, "accumulate", 0),
        .average = cli_text(args, "average", NULL),
        .seed = seed,
        .threads = threads,
        .model = { .kind = model,
                   .widths = cli_text(args, "widths", NULL),
                   .norm = cli_text(args, "norm", NULL),
                   .dropout = cli_real(args, "dropout", -1),
                   .seed = seed,
                   .threads = threads },
    };
    const int code = cli_storage_read(args, &config->storage);
    if (code) return code;
    if (config->batch > data->train.count && cli_has(args, "batch"))
        return cli_usage(args->command, "--batch %llu is more than the %llu training examples",
                         (unsigned long long)config->batch,
                         (unsigned long long)data->train.count);
    if (!config->schedule) config->schedule = falling(config, data, schedule);
    return CLI_OK;
}

int cli_task_rate(const cli_args *args, const lab_config *config, cli_settings *settings,
                  const char **source)
{
    char number[CLI_NUMBER_ROOM];
    const size_t i = eden_rule_hyper_index(settings->rule, "lr");
    *source = "given";
    if (i != SIZE_MAX && settings->given[i]) return CLI_OK;
    const double rate = lab_rate(args->operands[0], config->model.kind, settings->name, source);
    if (rate > 0 && i != SIZE_MAX)
        return cli_settings_set(settings, args->command, "lr", cli_print_number(rate, number));
    *source = "the optimizer's default";
    return CLI_OK;
}

const char *cli_grouped(uint64_t value, char text[32])
{
    char plain[32];
    size_t n = 0;
    const size_t length = (size_t)snprintf(plain, sizeof plain, "%llu", (unsigned long long)value);
    for (size_t i = 0; i < length && n < 30; i++) {
        if (i && (length - i) % 3 == 0) text[n++] = ',';
        text[n++] = plain[i];
    }
    text[n] = '\0';
    return text;
}

const char *cli_task_describe(const lab_data *data, char text[CLI_TASK_ROOM])
{
    char train[32], test[32], shape[64], kind[40] = "a value to predict";
    if (data->classes) snprintf(kind, sizeof kind, "%lu classes", (unsigned long)data->classes);
    if (data->height == 1 && data->channels == 1)
        snprintf(shape, sizeof shape, "%lu columns", (unsigned long)data->width);
    else if (data->channels == 1)
        snprintf(shape, sizeof shape, "%lu x %lu", (unsigned long)data->height,
                 (unsigned long)data->width);
    else
        snprintf(shape, sizeof shape, "%lu x %lu x %lu", (unsigned long)data->channels,
                 (unsigned long)data->height, (unsigned long)data->width);
    snprintf(text, CLI_TASK_ROOM, "%s training and %s test examples of %s, %s",
             cli_grouped(data->train.count, train), cli_grouped(data->test.count, test), shape, kind);
    return text;
}
