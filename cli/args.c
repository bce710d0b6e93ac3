#include "cli/args.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/names.h"
#include "cli/output.h"

int cli_usage(const cli_command *command, const char *format, ...)
{
    char text[900];
    va_list list;
    va_start(list, format);
    if (vsnprintf(text, sizeof text, format, list) < 0) text[0] = '\0';
    va_end(list);
    cli_fail(CLI_USAGE, "%s", text);
    fprintf(cli_people(), "Try 'eden help%s%s'.\n", command ? " " : "", command ? command->name : "");
    return CLI_USAGE;
}

/* ---- numbers --------------------------------------------------------------------- */

int cli_read_number(const char *text, double *value)
{
    const char *s = text + (*text == '-');
    size_t whole = strspn(s, "0123456789"), part = 0;
    s += whole;
    if (*s == '.') {
        part = strspn(s + 1, "0123456789");
        s += 1 + part;
    }
    if (!whole && !part) return 0;
    if (*s == 'e' || *s == 'E') {
        s += 1 + (s[1] == '-' || s[1] == '+');
        const size_t digits = strspn(s, "0123456789");
        if (!digits) return 0;
        s += digits;
    }
    if (*s) return 0;
    errno = 0;
    const double v = strtod(text, NULL);
    if (!isfinite(v) || (errno == ERANGE && v == 0) || (v == 0 && *text == '-')) return 0;
    *value = v;
    return 1;
}

int cli_read_count(const char *text, uint64_t *value)
{
    const size_t length = strspn(text, "0123456789");
    if (!length || text[length] || length > 19) return 0;
    *value = strtoull(text, NULL, 10);
    return 1;
}

/* ---- the flags of all settings ------------------------------------------------------ */

static int is_option(const cli_command *command, const char *name)
{
    for (const cli_option *o = command->options; o->name; o++)
        if (!strcmp(o->name, name)) return 1;
    return !strcmp(name, "help");
}

static cli_setting_name *setting_named(cli_setting_name *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i].name, name)) return &names[i];
    return NULL;
}

cli_setting_name *cli_setting_names(const cli_command *command, size_t *count)
{
    size_t room = 1, n = 0;
    for (size_t i = 0; i < eden_rule_count(); i++)
        for (size_t k = 0; eden_rule_hyper(eden_rule_at(i), k); k++) room++;
    cli_setting_name *names = calloc(room, sizeof *names);
    if (!names) {
        cli_no_memory();
        return NULL;
    }
    for (size_t i = 0; i < eden_rule_count(); i++) {
        const eden_hyper *hyper;
        for (size_t k = 0; (hyper = eden_rule_hyper(eden_rule_at(i), k)) != NULL; k++) {
            cli_setting_name *entry = setting_named(names, n, hyper->name);
            if (!entry) {
                entry = &names[n++];
                entry->name = hyper->name;
                entry->doc = hyper->doc;
                entry->taken = is_option(command, hyper->name);
            }
            entry->flag |= hyper->kind == EDEN_FLAG;
        }
    }
    *count = n;
    return names;
}

/* ---- reading a line ------------------------------------------------------------------ */

enum { HELP = 1000, OPTION = 2000, SETTING = 10000 };

/* getopt_long's tables, made from ours. */
typedef struct {
    struct option *longs;
    size_t long_count;
    char shorts[64];
    char *spellings; /* settings' names with '-' for '_' */
    cli_setting_name *settings;
    size_t setting_count;
} tables;

static void add_long(tables *t, const char *name, int has_value, int code)
{
    t->longs[t->long_count++] = (struct option){ name, has_value, NULL, code };
}

static int build(tables *t, const cli_command *command)
{
    size_t options = 0, letters = 0, text = 1;
    while (command->options[options].name) options++;
    if (command->settings) {
        t->settings = cli_setting_names(command, &t->setting_count);
        if (!t->settings) return 0;
    }
    for (size_t i = 0; i < t->setting_count; i++) text += strlen(t->settings[i].name) + 1;
    t->longs = calloc(options + 2 * t->setting_count + 2, sizeof *t->longs);
    t->spellings = calloc(text, 1);
    if (!t->longs || !t->spellings) return 0;
    letters += (size_t)snprintf(t->shorts, sizeof t->shorts, "-:h");
    add_long(t, "help", no_argument, HELP);
    for (size_t i = 0; i < options; i++) {
        const cli_option *o = &command->options[i];
        add_long(t, o->name, o->kind == CLI_SWITCH ? no_argument : required_argument,
                 OPTION + (int)i);
        if (!o->letter || letters + 3 > sizeof t->shorts) continue;
        t->shorts[letters++] = o->letter;
        if (o->kind != CLI_SWITCH) t->shorts[letters++] = ':';
    }
    char *spelling = t->spellings;
    for (size_t i = 0; i < t->setting_count; i++) {
        const cli_setting_name *s = &t->settings[i];
        if (s->taken) continue;
        const int has_value = s->flag ? optional_argument : required_argument;
        add_long(t, s->name, has_value, SETTING + (int)i);
        if (!strchr(s->name, '_')) continue;
        for (size_t k = 0; k <= strlen(s->name); k++)
            spelling[k] = s->name[k] == '_' ? '-' : s->name[k];
        add_long(t, spelling, has_value, SETTING + (int)i);
        spelling += strlen(s->name) + 1;
    }
    return 1;
}

static void unbuild(tables *t)
{
    free(t->longs);
    free(t->spellings);
    free(t->settings);
}

/* Why getopt_long did not know a word: a letter, a long option that was given a
 * value, or else an unknown long option. */
static int refuse(const cli_args *args, const tables *t, const char *word)
{
    if (optopt && optopt < HELP)
        return cli_usage(args->command, "eden %s has no option '-%c'", args->command->name,
                         optopt);
    char name[64], hint[CLI_HINT_ROOM];
    const size_t length = strcspn(word + 2, "=");
    if (optopt)
        return cli_usage(args->command, "option '%.*s' takes no value", (int)(length + 2), word);
    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), word + 2);
    cli_nearest nearest = { name, NULL, 0 };
    size_t begins = 0;
    for (size_t i = 0; i < t->long_count; i++) {
        cli_nearest_try(&nearest, t->longs[i].name);
        begins += length < 64 && !strncmp(t->longs[i].name, name, length);
    }
    if (begins > 1)
        return cli_usage(args->command, "option '--%.60s' can mean several; write it out", name);
    return cli_usage(args->command, "eden %s has no option '--%.60s'%s", args->command->name, name,
                     cli_nearest_hint(&nearest, "--", hint));
}

static int check_word(const cli_args *args, const cli_option *o, const char *value)
{
    char hint[CLI_HINT_ROOM], word[64];
    cli_nearest nearest = { value, NULL, 0 };
    for (const char *s = o->words; *s; s += strcspn(s, "|"), s += *s == '|') {
        const size_t length = strcspn(s, "|");
        if (strlen(value) == length && !strncmp(s, value, length)) return CLI_OK;
    }
    for (const char *s = o->words; *s; s += strcspn(s, "|"), s += *s == '|') {
        const size_t length = strcspn(s, "|") < sizeof word ? strcspn(s, "|") : sizeof word - 1;
        memcpy(word, s, length);
        word[length] = '\0';
        cli_nearest_try(&nearest, word);
        if (nearest.best == word) {
            cli_nearest_hint(&nearest, "", hint);
            return cli_usage(args->command, "--%s '%.60s' is unknown%s", o->name, value, hint);
        }
    }
    return cli_usage(args->command, "--%s '%.60s' is none of %s", o->name, value, o->words);
}

static int check_option(const cli_args *args, const cli_option *o, const char *value)
{
    uint64_t count;
    double number;
    if (!o->many && cli_has(args, o->name))
        return cli_usage(args->command, "--%s is given twice", o->name);
    if (o->kind == CLI_SWITCH) return CLI_OK;
    if (!*value) return cli_usage(args->command, "--%s is empty", o->name);
    if (o->kind == CLI_TEXT && o->words) return check_word(args, o, value);
    if (o->kind == CLI_COUNT) {
        if (o->words && !strcmp(value, o->words)) return CLI_OK;
        if (cli_read_count(value, &count) && (double)count >= o->low && (double)count <= o->high)
            return CLI_OK;
        return cli_usage(args->command, "--%s '%.60s' is not a whole number from %.0f to %.0f%s%s",
                         o->name, value, o->low, o->high, o->words ? ", nor " : "",
                         o->words ? o->words : "");
    }
    if (o->kind == CLI_REAL) {
        if (!cli_read_number(value, &number))
            return cli_usage(args->command, "--%s '%.60s' is not a number", o->name, value);
        if (number < o->low || number > o->high)
            return cli_usage(args->command, "--%s '%.60s' is outside %g to %g", o->name, value,
                             o->low, o->high);
    }
    return CLI_OK;
}

static int take_option(cli_args *args, const cli_option *o, const char *value)
{
    const int code = check_option(args, o, value);
    if (!code) args->options[args->option_count++] = (cli_value){ o->name, value };
    return code;
}

static int take_setting(cli_args *args, const cli_setting_name *setting, const char *value)
{
    for (size_t i = 0; i < args->setting_count; i++)
        if (!strcmp(args->settings[i].name, setting->name))
            return cli_usage(args->command, "--%s is given twice", setting->name);
    /* A flag's value may also follow it as a word of its own. */
    if (!value && optind < args->count) {
        const char *next = args->words[optind];
        if (!strcmp(next, "0") || !strcmp(next, "1")) value = next, optind++;
    }
    args->settings[args->setting_count++] = (cli_value){ setting->name, value };
    return CLI_OK;
}

/* A word that is no option: more settings after --set, else an operand. */
static int take_operand(cli_args *args, const char *word, int follows_set)
{
    if (follows_set && strchr(word, '=')) {
        args->options[args->option_count++] = (cli_value){ "set", word };
        return CLI_OK;
    }
    if (!*word) return cli_usage(args->command, "an operand is empty");
    if (args->operand_count == args->command->most) {
        if (!args->command->most)
            return cli_usage(args->command, "eden %s takes no operand, but got '%.60s'",
                             args->command->name, word);
        return cli_usage(args->command, "'%.60s' is one operand too many", word);
    }
    args->operands[args->operand_count++] = word;
    return CLI_OK;
}

static int read_words(cli_args *args, const tables *t, int count, char **words)
{
    int code = CLI_OK, follows_set = 0, got;
    optind = 0; /* glibc: start afresh; words[0] is the command's name */
    opterr = 0;
    while (!code && (got = getopt_long(count, words, t->shorts, t->longs, NULL)) != -1) {
        const cli_option *o = NULL;
        if (got == 1) {
            code = take_operand(args, optarg, follows_set);
            continue;
        }
        follows_set = 0;
        if (got == 'h' || got == HELP) {
            args->help = 1;
        } else if (got == '?') {
            code = refuse(args, t, words[optind - 1]);
        } else if (got == ':') {
            code = cli_usage(args->command, "option '%.60s' needs a value", words[optind - 1]);
        } else if (got >= SETTING) {
            code = take_setting(args, &t->settings[got - SETTING], optarg);
        } else {
            for (o = args->command->options; got < OPTION && o->letter != got; o++) {}
            if (got >= OPTION) o = &args->command->options[got - OPTION];
            code = take_option(args, o, optarg);
            follows_set = !strcmp(o->name, "set");
        }
    }
    for (; !code && optind < count; optind++) code = take_operand(args, words[optind], 0);
    return code;
}

int cli_args_read(cli_args *args, const cli_command *command, int count, char **words)
{
    tables t = { 0 };
    const size_t room = (size_t)count + 1;
    *args = (cli_args){ .command = command, .count = count, .words = words };
    args->options = calloc(room, sizeof *args->options);
    args->settings = calloc(room, sizeof *args->settings);
    args->operands = calloc(room, sizeof *args->operands);
    int code = args->options && args->settings && args->operands && build(&t, command)
                   ? CLI_OK
                   : cli_no_memory();
    if (!code) code = read_words(args, &t, count, words);
    unbuild(&t);
    if (!code && !args->help && args->operand_count < command->least)
        code = cli_usage(command, "usage: eden %s %s", command->name, command->operands);
    return code;
}

void cli_args_free(cli_args *args)
{
    free(args->options);
    free(args->settings);
    free(args->operands);
    *args = (cli_args){ 0 };
}

/* ---- asking ---------------------------------------------------------------------------- */

static const cli_value *find(const cli_args *args, const char *option)
{
    for (size_t i = 0; i < args->option_count; i++)
        if (!strcmp(args->options[i].name, option)) return &args->options[i];
    return NULL;
}

int cli_has(const cli_args *args, const char *option) { return find(args, option) != NULL; }

const char *cli_text(const cli_args *args, const char *option, const char *otherwise)
{
    const cli_value *value = find(args, option);
    return value ? value->value : otherwise;
}

uint64_t cli_count(const cli_args *args, const char *option, uint64_t otherwise)
{
    const cli_value *value = find(args, option);
    uint64_t count = otherwise;
    if (value) cli_read_count(value->value, &count);
    return count;
}

double cli_real(const cli_args *args, const char *option, double otherwise)
{
    const cli_value *value = find(args, option);
    double number = otherwise;
    if (value) cli_read_number(value->value, &number);
    return number;
}
