#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/names.h"
#include "cli/output.h"
#include "lab/train.h"

enum { WIDTH = 79, INDENT = 26 };

char *cli_fill_in(const char *text)
{
    char *filled = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&filled, &size);
    if (!out) {
        cli_no_memory();
        return NULL;
    }
    while (*text) {
        const int usual = !strncmp(text, "{usual}", 7), old = !strncmp(text, "{old}", 5);
        if (usual || old) {
            fputs(usual ? lab_default_optimizer() : cli_oldest_name(), out);
            text += usual ? 7 : 5;
        } else {
            fputc(*text++, out);
        }
    }
    return cli_close_text(out, &filled);
}

const char *cli_spelling(const cli_option *o, char text[CLI_SPELLING_ROOM])
{
    char letter[8] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(text, CLI_SPELLING_ROOM, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
    return text;
}

/* "  left   right", the right side wrapped; on a line of its own if the left is
 * too long. */
static void pair(FILE *out, const char *left, const char *right)
{
    fprintf(out, "  %-*s", INDENT - 3, left);
    if (strlen(left) > INDENT - 4) fprintf(out, "\n%*s", INDENT - 1, "");
    fputc(' ', out);
    cli_wrap(out, INDENT, INDENT, WIDTH, right);
    fputc('\n', out);
}

static void overview(FILE *out)
{
    const cli_style style = cli_style_of(out);
    const cli_command *command;
    char left[64];
    fprintf(out, "%seden%s trains neural networks with any of its optimizers, and shows how\n"
                 "they differ.\n\n%susage:%s eden COMMAND [options]\n\n",
            style.bold, style.off, style.bold, style.off);
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        if (command->hidden) continue;
        snprintf(left, sizeof left, "%s %s", command->name, command->operands);
        pair(out, left, command->summary);
    }
    fprintf(out, "\n'eden help COMMAND' explains a command. Begin with: eden list\n");
}

static void option(FILE *out, const cli_option *o)
{
    char left[CLI_SPELLING_ROOM], right[400];
    if (o->initial)
        snprintf(right, sizeof right, "%s (default: %s)", o->doc, o->initial);
    else
        snprintf(right, sizeof right, "%s", o->doc);
    char *filled = cli_fill_in(right);
    pair(out, cli_spelling(o, left), filled ? filled : right);
    free(filled);
}

/* The settings of every optimizer, each with the rules that have it. */
static void settings(FILE *out, const cli_command *command, const cli_style *style)
{
    size_t count = 0, length;
    cli_setting_name *names = cli_setting_names(command, &count);
    fprintf(out, "\n%sSettings of the optimizers%s ('eden show NAME' tells ranges and "
                 "defaults):\n", style->bold, style->off);
    for (size_t i = 0; names && i < count; i++) {
        char left[64], right[512];
        snprintf(left, sizeof left, names[i].taken ? "--set %s=X" : names[i].flag ? "--%s [0|1]"
                                                                                  : "--%s X",
                 names[i].name);
        length = (size_t)snprintf(right, sizeof right, "%s:", names[i].doc);
        for (size_t k = 0; k < eden_rule_count() && length < sizeof right; k++) {
            const eden_rule *rule = eden_rule_at(k);
            if (eden_rule_hyper_index(rule, names[i].name) == SIZE_MAX) continue;
            length += (size_t)snprintf(right + length, sizeof right - length, " %s",
                                       eden_rule_name(rule));
        }
        pair(out, left, right);
    }
    free(names);
}

static const char schedules[] =
    "constant(value)  warmup(n, start=0)  linear(n, start=1, end=0)  "
    "polynomial(n, power, end=0)  cosine(n, end=0)  cosine_restarts(n, grow=1, end=0)  "
    "step(n, factor=0.1)  multistep(factor, n1, n2, ...)  exponential(factor, n=1)  "
    "onecycle(n, start=0.04, peak_at=0.3, end=4e-6)  wsd(warmup, stable, decay, end=0)  "
    "inverse_sqrt(n)  plateau(factor=0.1, patience=10, threshold=1e-4, floor=0)  "
    "sequence(A, n, B, m, C)\n"
    "n counts steps; '*' multiplies two of them; absolute(...) replaces lr.";

static void one(FILE *out, const cli_command *command)
{
    const cli_style style = cli_style_of(out);
    fprintf(out, "%susage:%s eden %s%s%s%s\n\n", style.bold, style.off, command->name,
            *command->operands ? " " : "", command->operands,
            command->options->name ? " [options]" : "");
    cli_wrap(out, 0, 0, WIDTH, command->about);
    fputc('\n', out);
    if (command->options->name) fprintf(out, "\n%sOptions:%s\n", style.bold, style.off);
    for (const cli_option *o = command->options; o->name; o++) option(out, o);
    if (command->settings) settings(out, command, &style);
    for (const cli_option *o = command->options; o->name; o++) {
        if (strcmp(o->name, "schedule")) continue;
        fprintf(out, "\n%sSCHEDULES%s are products of:\n  ", style.bold, style.off);
        cli_wrap(out, 2, 2, WIDTH, schedules);
        fputc('\n', out);
    }
    char *examples = cli_fill_in(command->examples);
    fprintf(out, "\n%sExamples:%s\n", style.bold, style.off);
    for (char *s = examples; s && *s; s += strcspn(s, "\n") + 1)
        fprintf(out, "  %.*s\n", (int)strcspn(s, "\n"), s);
    free(examples);
}

void cli_print_help(FILE *out, const cli_command *command)
{
    if (command)
        one(out, command);
    else
        overview(out);
}

int cli_help(const cli_args *args)
{
    if (!args->operand_count) {
        overview(stdout);
        return CLI_OK;
    }
    const cli_command *command = cli_command_find(args->operands[0]);
    if (!command) return cli_unknown_command(args->operands[0]);
    one(stdout, command);
    return CLI_OK;
}

int cli_unknown_command(const char *name)
{
    char hint[CLI_HINT_ROOM];
    const cli_command *command;
    cli_nearest nearest = { name, NULL, 0 };
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++)
        if (!command->hidden) cli_nearest_try(&nearest, command->name);
    return cli_usage(NULL, "unknown command '%.60s'%s", name,
                     cli_nearest_hint(&nearest, "", hint));
}
