/* advise.c - `eden advise`: which optimizer to start with. */
#include "cli/advise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/names.h"
#include "cli/output.h"

enum { STEPS = 10000, COLUMNS = 1024 };

const cli_stored cli_stored_as[] = { { "f32", "EDEN_F32", 4 }, { "bf16", "EDEN_BF16", 2 },
                                     { "q8", "EDEN_Q8", 1 + 4.0 / 256 } };
enum { STORED = sizeof cli_stored_as / sizeof *cli_stored_as };

/* ---- what is asked ------------------------------------------------------------------- */

/* "24 GiB", "800M", "1e9": bytes. */
static int read_bytes(const char *text, double *bytes)
{
    static const struct {
        const char *unit;
        double size;
    } units[] = { { "", 1 }, { "K", 1e3 }, { "M", 1e6 }, { "G", 1e9 }, { "T", 1e12 }, { "KB", 1e3 },
                  { "MB", 1e6 }, { "GB", 1e9 }, { "TB", 1e12 }, { "KiB", 1024.0 }, { "MiB", 1048576.0 },
                  { "GiB", 1073741824.0 }, { "TiB", 1099511627776.0 } };
    char number[64];
    const size_t length = strspn(text, "0123456789.eE+");
    const char *unit = text + length;
    snprintf(number, sizeof number, "%.*s", (int)(length < 63 ? length : 63), text);
    unit += *unit == ' ';
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i].unit) && cli_read_number(number, bytes)) {
            *bytes *= units[i].size;
            return *bytes > 0;
        }
    return 0;
}

static int unknown(const cli_args *args, const char *task)
{
    char hint[CLI_HINT_ROOM];
    const lab_advice *advice;
    cli_nearest nearest = { task, NULL, 0 };
    for (size_t i = 0; (advice = lab_advice_at(i)) != NULL; i++) cli_nearest_try(&nearest, advice->task);
    return cli_usage(args->command, "unknown task '%.60s'%s", task,
                     nearest.best ? cli_nearest_hint(&nearest, "", hint) : "; 'eden advise' lists them");
}

/* One line of an answer; NULL at the end of the input. */
static char *answer(const char *question, char line[128])
{
    printf("%s ", question);
    fflush(stdout);
    if (!fgets(line, 128, stdin)) return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void list_tasks(void)
{
    const lab_advice *advice;
    for (size_t i = 0; (advice = lab_advice_at(i)) != NULL; i++)
        printf("  %-12s %s\n", advice->task, advice->about);
}

/* "124M", "1.2e7", "12345": a number of weights or examples, whole and at least 1. */
static int read_whole(const char *text, double *value)
{
    return read_bytes(text, value) && !strpbrk(text, "Bi") && *value >= 1 && *value <= 1e13
           && floor(*value) == *value;
}

static int read_task(const char *text, double *value)
{
    (void)value;
    return lab_advice_find(text) != NULL;
}

enum { TRIES = 3 };

/* Ask until the answer can be read; an empty one leaves the default. */
static int ask_for(const cli_advising *a, const char *question, const char *wanted,
                   int (*read)(const char *, double *), double *value, char line[128])
{
    for (int i = 0; i < TRIES; i++) {
        const char *said = answer(question, line);
        if (!said) return cli_usage(a->args->command, "the questions are not answered");
        if (!*said || read(said, value)) return CLI_OK;
        printf("  '%.60s' is no %s.\n", said, wanted);
    }
    return cli_usage(a->args->command, "%d answers were no %s", TRIES, wanted);
}

/* On a terminal what no option says is asked for; an empty answer takes the default. */
static int ask(cli_advising *a, char task[128])
{
    char line[128];
    double number = 0;
    printf("What do you train?\n");
    list_tasks();
    int code = ask_for(a, "Task [other]:", "task of the list", read_task, &number, task);
    a->task = *task ? task : "other";
    number = (double)a->params;
    if (!code && !cli_has(a->args, "params"))
        code = ask_for(a, "Weights of the network [1000000]:", "number of weights, as 124M is", read_whole,
                       &number, line);
    a->params = (uint64_t)number;
    number = (double)a->batch;
    if (!code && !cli_has(a->args, "batch"))
        code = ask_for(a, "Examples to a step [32]:", "number of examples", read_whole, &number, line);
    a->batch = (uint64_t)number;
    if (!code && !cli_has(a->args, "memory"))
        code = ask_for(a, "Memory for weights, gradients and state [any]:", "size, as 24GiB is", read_bytes,
                       &a->memory, line);
    putchar('\n');
    return code;
}

static int read_counts(cli_advising *a)
{
    double number;
    const char *params = cli_text(a->args, "params", "1000000"), *batch = cli_text(a->args, "batch", "32");
    if (!read_whole(params, &number))
        return cli_usage(a->args->command, "--params '%.60s' is no number of weights, as 124M is", params);
    a->params = (uint64_t)number;
    if (!read_whole(batch, &number))
        return cli_usage(a->args->command, "--batch '%.60s' is no number of examples, as 8192 and 8K are", batch);
    a->batch = (uint64_t)number;
    return CLI_OK;
}

static int read_line(cli_advising *a, char task[128])
{
    const char *memory = cli_text(a->args, "memory", NULL);
    const int code = read_counts(a);
    if (code) return code;
    a->steps = cli_count(a->args, "steps", STEPS);
    if (memory && !read_bytes(memory, &a->memory))
        return cli_usage(a->args->command, "--memory '%.60s' is no size, as 24GiB is", memory);
    if (a->args->operand_count) {
        a->task = a->args->operands[0];
        return lab_advice_find(a->task) ? CLI_OK : unknown(a->args, a->task);
    }
    if (isatty(0) && isatty(1) && !cli_has(a->args, "json")) return ask(a, task);
    if (!a->args->option_count) return CLI_OK;
    return cli_usage(a->args->command, "no task is given; 'eden advise' lists them");
}

/* ---- what follows ---------------------------------------------------------------------- */

/* Of a matrix as square as networks have them; every slot is as long as it is there. */
static double state_bytes(const cli_advising *a, size_t storage)
{
    const uint64_t cols = a->params < COLUMNS ? a->params : COLUMNS;
    const eden_extent extent = { a->params / cols * cols, a->params / cols, cols };
    const eden_rule *rule = a->settings.rule;
    const eden_slot *slot;
    double bytes = 0;
    for (size_t s = 0; (slot = eden_rule_slot(rule, s)) != NULL; s++) {
        if (slot->kind != EDEN_STATE) continue;
        const double length = (double)eden_rule_slot_length(rule, s, a->settings.values, extent);
        bytes += length * (slot->shape == EDEN_FULL ? cli_stored_as[storage].bytes : 4);
    }
    return bytes;
}

static int set_optimizer(cli_advising *a, const lab_advice *advice)
{
    char number[CLI_NUMBER_ROOM];
    cli_settings_free(&a->settings);
    a->advice = advice;
    int code = cli_settings_create(&a->settings, advice->optimizer);
    if (!code && *advice->settings) code = cli_settings_list(&a->settings, a->args->command, advice->settings);
    if (!code)
        code = cli_settings_set(&a->settings, a->args->command, "lr", cli_print_number(advice->rate, number));
    return code;
}

/* The most exact storage that fits. */
static void choose_storage(cli_advising *a)
{
    for (a->storage = 0; a->storage < STORED; a->storage++) {
        a->state = state_bytes(a, a->storage);
        a->whole = a->state + 8 * (double)a->params;
        a->fits = a->memory <= 0 || a->whole <= a->memory;
        if (a->fits || a->state <= 0) return;
    }
    a->storage = STORED - 1;
}

/* "%s" and "%w" of a schedule as numbers. */
static void write_schedule(cli_advising *a)
{
    size_t used = 0;
    a->warmup = (uint64_t)((double)a->steps * a->advice->warmup);
    if (!a->warmup) a->warmup = 1;
    for (const char *s = a->advice->schedule; *s && used + 24 < sizeof a->schedule; s++)
        if (*s == '%') {
            const uint64_t count = *++s == 's' ? a->steps : a->warmup;
            used += (size_t)snprintf(a->schedule + used, sizeof a->schedule - used, "%llu",
                                     (unsigned long long)count);
        } else {
            a->schedule[used++] = *s;
        }
    a->schedule[used] = '\0';
}

static int decide(cli_advising *a)
{
    const lab_advice *advice = lab_advice_find(a->task);
    a->large = a->batch >= lab_advice_large_batch() && strcmp(a->task, "large-batch") != 0;
    if (a->large) advice = lab_advice_find("large-batch");
    int code = set_optimizer(a, advice);
    if (code) return code;
    choose_storage(a);
    if (!a->fits && a->state > 0) {
        const double state = a->state;
        code = set_optimizer(a, lab_advice_lean());
        if (code) return code;
        choose_storage(a);
        a->storage = 0;
        a->state = state_bytes(a, 0);
        a->whole = a->state + 8 * (double)a->params;
        a->fits = a->whole <= a->memory;
        a->lean = a->state < state;
    }
    write_schedule(a);
    return CLI_OK;
}

int cli_advise(const cli_args *args)
{
    cli_advising a = { .args = args };
    char task[128];
    int code = read_line(&a, task);
    if (!code && !a.task) {
        printf("Advice for:\n");
        list_tasks();
        printf("\nSuch as: eden advise language --params 124M --memory 2GiB\n");
        return CLI_OK;
    }
    if (!code) code = decide(&a);
    char *settings = code ? NULL : cli_settings_text(&a.settings);
    if (!code && !settings) code = cli_no_memory();
    if (!code && cli_has(args, "json")) code = cli_advise_json(&a, settings);
    else if (!code) code = cli_advise_print(&a, settings);
    free(settings);
    cli_settings_free(&a.settings);
    return code;
}
