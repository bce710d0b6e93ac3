/* trace.c - `eden trace`. */
#include "cli/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/draft.h"
#include "cli/gnuplot.h"
#include "cli/interrupt.h"
#include "cli/names.h"
#include "cli/output.h"
#include "cli/settings.h"

static void free_tracing(cli_tracing *t)
{
    for (size_t i = 0; i < t->count; i++) {
        lab_trace_free(&t->paths[i].trace);
        free(t->paths[i].name);
        free(t->paths[i].label);
        free(t->paths[i].settings);
    }
    free(t->paths);
}

/* ---- which optimizers ---------------------------------------------------------------- */

/* Bytes of the first of "A,B:x=1,y=2;C": settings follow a ':' and go on for as long as
 * there is a '=' in each. */
static size_t entry_length(const char *list)
{
    size_t length = strcspn(list, ",;:");
    if (list[length] != ':') return length;
    length += strcspn(list + length, ",;");
    while (list[length] == ',') {
        const char *item = list + length + 1;
        if (item[strcspn(item, "=,;:")] != '=') break;
        length += 1 + strcspn(item, ",;");
    }
    return length;
}

/* The name, and all settings given but lr, which the tables have elsewhere. */
static char *label_of(const cli_settings *settings)
{
    char value[64], *text = NULL;
    size_t size = 0;
    int some = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fputs(settings->name, out);
    for (size_t i = 0; i < settings->count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(settings->rule, i);
        if (!settings->given[i] || !strcmp(hyper->name, "lr")) continue;
        fprintf(out, "%s%s=%s", some++ ? "," : ":", hyper->name,
                cli_value_text(hyper, settings->values[i], value));
    }
    return cli_close_text(out, &text);
}

static int set_rate(const cli_tracing *t, cli_settings *settings, cli_path *path)
{
    char number[CLI_NUMBER_ROOM];
    int code = CLI_OK;
    const size_t i = eden_rule_hyper_index(settings->rule, "lr");
    const char *given = cli_text(t->args, "lr", NULL);
    path->source = "given";
    if (given) return cli_settings_set(settings, t->args->command, "lr", given);
    if (i == SIZE_MAX || settings->given[i]) return CLI_OK;
    const double rate = lab_surface_rate(t->surface->name, settings->name, &path->source);
    if (rate > 0)
        code = cli_settings_set(settings, t->args->command, "lr", cli_print_number(rate, number));
    else
        path->source = "the optimizer's default";
    return code;
}

static int read_settings(const cli_tracing *t, cli_settings *settings, cli_path *path,
                         const char *list)
{
    int code = cli_settings_create(settings, path->name);
    if (!code && list) code = cli_settings_list(settings, t->args->command, list);
    if (!code) code = set_rate(t, settings, path);
    if (code) return code;
    const size_t lr = eden_rule_hyper_index(settings->rule, "lr");
    path->lr = lr == SIZE_MAX ? (double)NAN : settings->values[lr];
    path->label = label_of(settings);
    path->settings = cli_settings_text(settings);
    return path->label && path->settings ? CLI_OK : cli_no_memory();
}

static int add_path(cli_tracing *t, const char *text, size_t length)
{
    cli_settings settings = { 0 };
    cli_path *path = &t->paths[t->count++];
    const cli_command *command = t->args->command;
    const size_t name = strcspn(text, ":") < length ? strcspn(text, ":") : length;
    if (!name) return cli_usage(command, "--optimizers has an empty name");
    if (memchr(text, '=', name))
        return cli_usage(command, "--optimizers: '%.*s' stands behind no name; write "
                         "NAME:SETTING=VALUE", (int)(name < 60 ? name : 60), text);
    if (name + 1 == length)
        return cli_usage(command, "--optimizers: no setting follows '%.*s'",
                         (int)(length < 60 ? length : 60), text);
    char *list = name < length ? strndup(text + name + 1, length - name - 1) : NULL;
    path->name = strndup(text, name);
    int code = path->name && (list || name == length) ? CLI_OK : cli_no_memory();
    if (!code) code = read_settings(t, &settings, path, list);
    cli_settings_free(&settings);
    free(list);
    for (size_t i = 0; !code && i + 1 < t->count; i++)
        if (!strcmp(t->paths[i].name, path->name) && !strcmp(t->paths[i].settings, path->settings))
            code = cli_usage(command, "--optimizers names %s twice", path->label);
    return code;
}

static int add_paths(cli_tracing *t)
{
    int code = CLI_OK;
    size_t room = 1;
    const char *list = cli_text(t->args, "optimizers", lab_surface_shown(t->surface->name));
    for (const char *s = list; *s; s++) room += *s == ',' || *s == ';';
    t->paths = calloc(room, sizeof *t->paths);
    if (!t->paths) return cli_no_memory();
    for (const char *s = list; !code; s++) {
        const size_t length = entry_length(s);
        code = add_path(t, s, length);
        s += length;
        if (!*s) break;
    }
    if (!code && cli_has(t->args, "output") && t->count > CLI_PATHS)
        return cli_usage(t->args->command, "%zu optimizers are more than the %d paths that can be "
                         "told apart in one picture", t->count, (int)CLI_PATHS);
    return code;
}

/* ---- what is asked ------------------------------------------------------------------- */

static int unknown_surface(const cli_args *args, const char *name)
{
    char hint[CLI_HINT_ROOM];
    const lab_surface *surface;
    cli_nearest nearest = { name, NULL, 0 };
    for (size_t i = 0; (surface = lab_surface_at(i)) != NULL; i++)
        cli_nearest_try(&nearest, surface->name);
    return cli_usage(args->command, "unknown surface '%.60s'%s", name,
                     nearest.best ? cli_nearest_hint(&nearest, "", hint)
                                  : "; 'eden trace' lists all");
}

static int read_format(const cli_args *args, cli_format *format)
{
    const char *path = cli_text(args, "output", NULL);
    if (!path) return CLI_OK;
    const char *slash = strrchr(path, '/'), *end = strrchr(slash ? slash : path, '.');
    if (end && !strcmp(end, ".svg")) *format = CLI_SVG;
    else if (end && !strcmp(end, ".png")) *format = CLI_PNG;
    else if (end && !strcmp(end, ".gif")) *format = CLI_GIF;
    else return cli_usage(args->command, "'%.200s' ends in none of .png, .svg and .gif", path);
    return CLI_OK;
}

/* Without a surface there is nothing that an option could change. */
static int surfaces(const cli_args *args)
{
    for (size_t i = 0; i < args->option_count; i++)
        if (strcmp(args->options[i].name, "json") != 0)
            return cli_usage(args->command, "--%s needs a surface; 'eden trace' lists them",
                             args->options[i].name);
    if (cli_has(args, "json")) return cli_trace_surfaces_json();
    cli_trace_surfaces(stdout);
    return CLI_OK;
}

/* Everything that can be refused is refused before the first step. */
static int prepare(cli_tracing *t, cli_format *format)
{
    const cli_args *args = t->args;
    t->surface = lab_surface_find(args->operands[0]);
    if (!t->surface) return unknown_surface(args, args->operands[0]);
    if (cli_has(args, "seed") && !(t->surface->noise > 0))
        return cli_usage(args->command, "--seed changes nothing: %s has no noise",
                         t->surface->name);
    t->steps = cli_count(args, "steps", t->surface->steps);
    t->seed = cli_count(args, "seed", 1);
    int code = read_format(args, format);
    if (!code) code = add_paths(t);
    if (!code && cli_has(args, "output")) code = cli_can_create(cli_text(args, "output", NULL));
    if (!code && cli_has(args, "output")) code = cli_gnuplot_check();
    return code;
}

/* ---- running and telling ----------------------------------------------------------------- */

static int run(cli_tracing *t)
{
    eden_error error = { 0, "" };
    for (size_t i = 0; i < t->count; i++) {
        cli_path *path = &t->paths[i];
        if (lab_trace_run(&path->trace, t->surface, path->name, path->settings, t->steps, t->seed,
                          &error))
            return cli_fail_eden(&error, CLI_RUNNING);
    }
    return CLI_OK;
}

static int draw(const cli_tracing *t, cli_format format)
{
    cli_draft draft;
    cli_interrupt_catch();
    int code = cli_draft_open(&draft, NULL, cli_text(t->args, "output", ""));
    if (!code) code = cli_trace_draw(t, format, draft.file);
    if (!code) code = cli_draft_close(&draft);
    if (!code) code = cli_draft_commit(&draft);
    cli_draft_discard(&draft);
    return code;
}

static int all_diverged(const cli_tracing *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->paths[i].trace.diverged_at) return 0;
    return 1;
}

static int trace(cli_tracing *t)
{
    cli_format format = CLI_PNG;
    int code = prepare(t, &format);
    if (!code) code = run(t);
    if (code) return code;
    if (cli_has(t->args, "json"))
        code = cli_trace_json(t);
    else
        cli_trace_table(t, stdout);
    fflush(stdout);
    if (!code && cli_has(t->args, "output")) code = draw(t, format);
    if (!code && all_diverged(t)) code = cli_fail(CLI_DATA, "every optimizer diverged");
    return code;
}

int cli_trace(const cli_args *args)
{
    if (!args->operand_count) return surfaces(args);
    cli_tracing t = { .args = args };
    const int code = trace(&t);
    free_tracing(&t);
    return code;
}
