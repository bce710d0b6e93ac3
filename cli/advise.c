/* advise.c - `eden advise`: which optimizer to start with, and the lines for it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/names.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "cli/task.h"
#include "lab/advice.h"
#include "lab/claims.h"

enum { WIDTH = 79, STEPS = 10000, COLUMNS = 1024 };

/* How state may be stored, in order of choice: each is smaller, and a little less exact. */
static const struct {
    const char *word, *name;
    double bytes; /* a number of state for each weight */
} stored[] = { { "f32", "EDEN_F32", 4 }, { "bf16", "EDEN_BF16", 2 }, { "q8", "EDEN_Q8", 1 + 4.0 / 256 } };
enum { STORED = sizeof stored / sizeof *stored };

typedef struct {
    const cli_args *args;
    const lab_advice *advice;
    const char *task;          /* as it was asked for */
    uint64_t params, batch, steps, warmup;
    double memory;             /* bytes there are, or 0 */
    cli_settings settings;
    size_t storage;
    double state, whole;       /* bytes of state, and of weights and gradients with it */
    int fits, large, lean;
    char schedule[160];
} advising;

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

/* On a terminal what no option says is asked for; an empty answer takes the default. */
static int ask(advising *a, char task[128])
{
    char line[128];
    const char *said;
    printf("What do you train?\n");
    list_tasks();
    said = answer("Task [other]:", task);
    if (!said) return cli_usage(a->args->command, "no task is given");
    a->task = *said ? said : "other";
    if (!lab_advice_find(a->task)) return unknown(a->args, a->task);
    said = cli_has(a->args, "params") ? NULL : answer("Weights of the network [1000000]:", line);
    if (said && *said && (!cli_read_count(said, &a->params) || !a->params))
        return cli_usage(a->args->command, "'%.60s' is no number of weights", said);
    said = cli_has(a->args, "batch") ? NULL : answer("Examples to a step [32]:", line);
    if (said && *said && (!cli_read_count(said, &a->batch) || !a->batch))
        return cli_usage(a->args->command, "'%.60s' is no number of examples", said);
    said = cli_has(a->args, "memory") ? NULL : answer("Memory for weights, gradients and state [any]:", line);
    if (said && *said && !read_bytes(said, &a->memory))
        return cli_usage(a->args->command, "'%.60s' is no size, as 24GiB is", said);
    putchar('\n');
    return CLI_OK;
}

static int read_line(advising *a, char task[128])
{
    const char *memory = cli_text(a->args, "memory", NULL);
    a->params = cli_count(a->args, "params", 1000000);
    a->batch = cli_count(a->args, "batch", 32);
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
static double state_bytes(const advising *a, size_t storage)
{
    const uint64_t cols = a->params < COLUMNS ? a->params : COLUMNS;
    const eden_extent extent = { a->params / cols * cols, a->params / cols, cols };
    const eden_rule *rule = a->settings.rule;
    const eden_slot *slot;
    double bytes = 0;
    for (size_t s = 0; (slot = eden_rule_slot(rule, s)) != NULL; s++) {
        if (slot->kind != EDEN_STATE) continue;
        const double length = (double)eden_rule_slot_length(rule, s, a->settings.values, extent);
        bytes += length * (slot->shape == EDEN_FULL ? stored[storage].bytes : 4);
    }
    return bytes;
}

static int set_optimizer(advising *a, const lab_advice *advice)
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
static void choose_storage(advising *a)
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
static void write_schedule(advising *a)
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

static int decide(advising *a)
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

/* ---- telling ----------------------------------------------------------------------------- */

static const char *bytes_text(double bytes, char text[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    int i = 0;
    for (; bytes >= 1024 && i < 5; i++) bytes /= 1024;
    snprintf(text, 32, bytes < 10 && i ? "%.2f %s" : "%.0f %s", bytes, units[i]);
    return text;
}

static void wrapped(const char *head, const char *text)
{
    const int column = printf("%-12s", head);
    cli_wrap(stdout, 12, column, WIDTH, text);
    putchar('\n');
}

static void print_code(const advising *a, const char *settings)
{
    const lab_advice *advice = a->advice;
    const size_t decay = eden_rule_hyper_index(a->settings.rule, "weight_decay");
    const int apart = !advice->vectors_decay && decay != SIZE_MAX && a->settings.values[decay] > 0;
    printf("\n    eden_config config = EDEN_CONFIG_INIT;\n");
    if (advice->clip > 0) printf("    config.clip_norm = %g;\n", advice->clip);
    printf("    eden_optimizer_create(&opt, \"%s\", &config, &error);\n", a->settings.name);
    if (*settings) printf("    eden_set_text(opt, NULL, \"%s\", &error);\n", settings);
    printf("    eden_schedule(opt, NULL, \"lr\", \"%s\", &error);\n", a->schedule);
    if (apart) printf("    eden_add_group(opt, \"vectors\", NULL, \"weight_decay=0\", &error);\n");
    printf("    eden_tensor tensor = eden_matrix(w, grad, rows, cols); /* each of them */\n");
    if (a->storage) printf("    tensor.state_dtype = %s;\n", stored[a->storage].name);
    printf("    eden_add_tensor(opt, \"name\", &tensor, %s, &error);\n", apart ? "is_vector ? \"vectors\" : NULL" : "NULL");
}

/* The next name of a list between blanks, or 0; *list goes on behind it. */
static int next_claim(const char **list, char id[64])
{
    *list += strspn(*list, " ");
    const size_t length = strcspn(*list, " ");
    snprintf(id, 64, "%.*s", (int)length, *list);
    *list += length;
    return length > 0;
}

static void print_claims(const lab_advice *advice)
{
    char id[64], line[400];
    const char *head = "evidence";
    putchar('\n');
    for (const char *list = advice->claims; next_claim(&list, id);) {
        const lab_claim *claim = lab_claim_find(id);
        if (!claim) continue;
        snprintf(line, sizeof line, "%s: eden evidence %s", claim->sentence, id);
        wrapped(head, line);
        head = "";
    }
}

static void print(const advising *a, const char *settings)
{
    const cli_style style = cli_style_of(stdout);
    char text[400], state[32], whole[32], have[32], params[32], steps[32];
    const lab_advice *advice = a->advice;
    printf("%-12s%s%s%s, %s\n", "optimizer", style.bold, a->settings.name, style.off, settings);
    printf("%-12s%s\n", "schedule", a->schedule);
    if (advice->clip > 0) printf("%-12sgradients to a norm of %g\n", "clip", advice->clip);
    snprintf(text, sizeof text, "%s of state (%s), %s with weights and gradients in float32, for %s weights",
             bytes_text(a->state, state), a->state > 0 ? stored[a->storage].word : "none",
             bytes_text(a->whole, whole), cli_grouped(a->params, params));
    wrapped("memory", text);
    wrapped("why", advice->why);
    if (a->large)
        wrapped("", "With so many examples to a step the advice for large batches comes first.");
    if (a->lean) wrapped("", "It takes the place of what is usual for the task, which does not fit.");
    if (!a->fits) {
        snprintf(text, sizeof text, "It does not fit into %s all the same; store weights and gradients in "
                 "16 bits, or train a smaller network.", bytes_text(a->memory, have));
        wrapped("but", text);
    }
    snprintf(text, sizeof text, "The schedule is for %s steps (--steps). The rate is a place to start from: "
             "'eden tune' searches one.", cli_grouped(a->steps, steps));
    wrapped("then", text);
    print_code(a, settings);
    print_claims(advice);
}

static int print_json(const advising *a, const char *settings)
{
    json_t *claims = json_array();
    char id[64];
    for (const char *list = a->advice->claims; next_claim(&list, id);)
        json_array_append_new(claims, json_string(id));
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:s, s:I, s:f, s:f, s:b, s:s, s:o}", "command",
                             "advise", "version", eden_version(), "task", a->task, "optimizer", a->settings.name,
                             "settings", settings, "schedule", a->schedule, "clip_norm", a->advice->clip,
                             "state_dtype", stored[a->storage].word, "params", (json_int_t)a->params, "state_bytes",
                             a->state, "bytes", a->whole, "fits", a->fits, "why", a->advice->why, "claims", claims);
    return cli_json_print(json, stdout, 2);
}

int cli_advise(const cli_args *args)
{
    advising a = { .args = args };
    char task[128];
    int code = read_line(&a, task);
    if (!code && !a.task) {
        printf("Advice for:\n");
        list_tasks();
        printf("\nSuch as: eden advise language --params 124000000 --memory 2GiB\n");
        return CLI_OK;
    }
    if (!code) code = decide(&a);
    char *settings = code ? NULL : cli_settings_text(&a.settings);
    if (!code && !settings) code = cli_no_memory();
    if (!code && cli_has(args, "json")) code = print_json(&a, settings);
    else if (!code) print(&a, settings);
    free(settings);
    cli_settings_free(&a.settings);
    return code;
}
