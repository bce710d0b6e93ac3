#include "cli/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/finetune.h"
#include "cli/names.h"
#include "cli/storage.h"

/* What a task takes and does unless told otherwise. */
typedef struct {
    const char *name;
    const char *operand; /* NULL: none */
    enum { NOTHING, FOLDER, TABLE, MAY_BE, MAY_BE_FOLDER } form; /* of the operand */
    uint64_t epochs, cnn_epochs, batch;
    const char *model;
} task;

static const task tasks[] = {
    { "digits", NULL, NOTHING, 40, 20, 32, "mlp" },
    { "mnist", "the folder of its IDX files", FOLDER, 20, 15, 64, "mlp" },
    { "cifar10", "the folder of its binary files", FOLDER, 20, 15, 64, "resnet" },
    { "sparse", NULL, NOTHING, 3, 3, 32, "logistic" },
    { "finetune", NULL, MAY_BE_FOLDER, 40, 40, 16, "cnn" },
    { "csv", "the file", TABLE, 40, 20, 32, "mlp" },
    { "text", NULL, MAY_BE, 0, 0, 0, NULL }, /* source.c has the rest */
    { "rl", NULL, NOTHING, 0, 0, 0, NULL },
    { "gan", NULL, NOTHING, 0, 0, 0, NULL },
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

#define LABELLED "digits mnist cifar10 sparse finetune csv"

/* Options that not all tasks have, the tasks that do, and why others do not if it is not
 * for their network. */
typedef struct {
    const char *option, *tasks, *why;
} belonging;

static const belonging belongings[] = {
    { "model", LABELLED, NULL },
    { "norm", LABELLED, NULL },
    { "widths", LABELLED " rl gan", NULL },
    { "dropout", LABELLED " text gan", "whose policy has to be the one that acted" },
    { "no-decay", LABELLED " rl gan", "whose biases and norms never decay" },
    { "rate-scaling", LABELLED, "whose epochs have as many steps whatever the batch: give --lr" },
    { "layers", "text", NULL },
    { "heads", "text", NULL },
    { "width", "text", NULL },
    { "context", "text", NULL },
    { "sample", "text", NULL },
    { "temperature", "text", NULL },
    { "envs", "rl", NULL },
    { "horizon", "rl", NULL },
    { "passes", "rl", NULL },
    { "noise", "gan", NULL },
    { "sheet", "gan", NULL },
};

/* Is a word one of those between blanks? */
static int among(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (; *words; words += strcspn(words, " "), words += *words == ' ')
        if (strcspn(words, " ") == length && !strncmp(words, word, length)) return 1;
    return 0;
}

static int refuse_option(const cli_args *args, const task *t, const belonging *option)
{
    static const struct {
        const char *task, *networks;
    } others[] = { { "text", "a transformer" },
                   { "rl", "a policy and a value, each an mlp" },
                   { "gan", "a generator and a discriminator, each an mlp" } };
    if (!among(option->tasks, "digits"))
        return cli_usage(args->command, "--%s is for %s alone", option->option, option->tasks);
    if (option->why)
        return cli_usage(args->command, "--%s is not for %s, %s", option->option, t->name, option->why);
    size_t i = 0;
    while (strcmp(others[i].task, t->name) != 0 && i + 1 < sizeof others / sizeof *others) i++;
    return cli_usage(args->command, "--%s is not for %s, which has %s", option->option, t->name,
                     others[i].networks);
}

static int wants_all(const cli_args *args)
{
    return !strcmp(cli_text(args, "batch", ""), "all");
}

/* Options that say nothing to a task. */
static int check_options(const cli_args *args, const task *t)
{
    const int made = among("rl gan", t->name), table = t->form == TABLE, text = t->form == MAY_BE;
    const char *no_label = text ? "bytes, each to be predicted" : made ? "nothing to predict" : "its labels";
    if (!table && cli_has(args, "label"))
        return cli_usage(args->command, "--label is for csv; %s has %s", t->name, no_label);
    if (!table && cli_has(args, kind_option(args)))
        return cli_usage(args->command, "--%s is for csv; %s has %s", kind_option(args), t->name,
                         text ? "bytes" : made ? "nothing to predict" : "classes");
    for (size_t i = 0; i < sizeof belongings / sizeof *belongings; i++)
        if (cli_has(args, belongings[i].option) && !among(belongings[i].tasks, t->name))
            return refuse_option(args, t, &belongings[i]);
    if ((text || made) && wants_all(args))
        return cli_usage(args->command, "--batch all is not for %s, whose batches are drawn, not a set's", t->name);
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
                         *hint ? hint : "; there are digits, mnist, cifar10, sparse, finetune, csv, text, rl and "
                                        "gan");
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
    const int code = check_options(args, t);
    return code ? code : cli_finetune_options(args);
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
    const int folder = t->form == FOLDER || (t->form == MAY_BE_FOLDER && args->operand_count > 1);
    if (t->operand || folder) code = cli_can_read(args->operands[1], folder);
    if (code) return code;
    if (!strcmp(name, "sparse"))
        status = lab_data_sparse(data, seed, &error);
    else if (!t->operand && !folder)
        status = lab_data_digits(data, &error);
    else if (!strcmp(name, "cifar10"))
        status = lab_data_cifar10(data, args->operands[1], &error);
    else if (folder)
        status = lab_data_idx(data, args->operands[1], &error);
    else
        status = lab_data_csv(data, args->operands[1], cli_text(args, "label", NULL),
                              cli_text(args, kind_option(args), NULL), seed, &error);
    return status ? cli_fail_eden(&error, CLI_READING) : CLI_OK;
}

int cli_task_file(const cli_args *args, size_t i, char **path)
{
    const task *t = find(args->operands[0]);
    if (!t || args->operand_count < 2) return 0;
    const char *data = args->operands[1];
    const int folder = t->form == FOLDER || t->form == MAY_BE_FOLDER, cifar10 = !strcmp(t->name, "cifar10");
    if (i >= (!folder ? 1 : cifar10 ? LAB_CIFAR10_NAMES : LAB_IDX_NAMES)) return 0;
    *path = !folder   ? strdup(data)
            : cifar10 ? lab_data_cifar10_name(data, (unsigned)i)
                      : lab_data_idx_name(data, (unsigned)i);
    return 1;
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
    const char *model = cli_text(args, "model", t->model);
    const int cnn = !strcmp(model, "cnn") || !strcmp(model, "resnet");
    *config = (lab_config){
        .no_decay = cli_has(args, "no-decay") ? "1" : NULL,
        .schedule = cli_text(args, "schedule", NULL),
        .warmup = cli_count(args, "warmup", 0),
        .epochs = cli_count(args, "epochs", cnn ? t->cnn_epochs : t->epochs),
        .batch = wants_all(args) ? data->train.count : cli_count(args, "batch", t->batch),
        .clip_norm = cli_real(args, "clip", 0),
        .accumulate = (uint32_t)cli_count(args, "accumulate", 0),
        .parts = (uint32_t)cli_count(args, "parts", 0),
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

int cli_task_check_batch(const cli_args *args, uint64_t examples, uint64_t batch)
{
    if (!wants_all(args) || batch == examples) return CLI_OK;
    return cli_usage(args->command, "--batch all contradicts the checkpoint, which has %llu of %llu "
                     "examples", (unsigned long long)batch, (unsigned long long)examples);
}

/* Gradients are means over a step's examples. Their noise falls with the root of the
 * number, and the steps of an epoch with the number itself: hence the two rules. */
static int scale_rate(const cli_args *args, const lab_config *config, double *rate,
                      const char **source)
{
    const char *rule = cli_text(args, "rate-scaling", "none");
    const double each = config->accumulate ? config->accumulate : 1;
    const double ratio = (double)config->batch * each / (double)find(args->operands[0])->batch;
    if (!strcmp(rule, "none")) return CLI_OK;
    if (!(*rate > 0))
        return cli_usage(args->command, "--rate-scaling scales the rates of a table, which has none for "
                         "this; give --lr instead");
    *rate *= !strcmp(rule, "sqrt") ? sqrt(ratio) : ratio;
    *source = !strcmp(rule, "sqrt") ? "the task's, scaled by the root of the batch"
                                    : "the task's, scaled by the batch";
    return CLI_OK;
}

int cli_task_rate(const cli_args *args, const lab_config *config, cli_settings *settings,
                  const char **source)
{
    char number[CLI_NUMBER_ROOM];
    const size_t i = eden_rule_hyper_index(settings->rule, "lr");
    const int given = i != SIZE_MAX && settings->given[i];
    *source = given ? "given" : "the optimizer's default";
    if (given && cli_has(args, "rate-scaling"))
        return cli_usage(args->command, "--rate-scaling does nothing with --lr: give the rate that is "
                         "wanted");
    if (given) return CLI_OK;
    const char *row = cli_has(args, "scratch") ? "scratch" : args->operands[0];
    double rate = lab_rate(row, config->model.kind, settings->name, source);
    const int code = scale_rate(args, config, &rate, source);
    if (code || !(rate > 0) || i == SIZE_MAX) return code;
    return cli_settings_set(settings, args->command, "lr", cli_print_number(rate, number));
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
