#include "cli/settings.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/names.h"

/* ---- texts ----------------------------------------------------------------------- */

const char *cli_value_text(const eden_hyper *hyper, double value, char text[64])
{
    char number[CLI_NUMBER_ROOM];
    if (hyper->kind == EDEN_CHOICE && hyper->choices && value >= 0) {
        const char *s = hyper->choices;
        for (uint32_t k = (uint32_t)value; k && *s; k--) {
            s += strcspn(s, ",");
            s += *s == ',';
        }
        snprintf(text, 64, "%.*s", (int)strcspn(s, ","), s);
    } else {
        snprintf(text, 64, "%s", cli_print_number(value, number));
    }
    return text;
}

const char *cli_range_text(const eden_hyper *hyper, char text[160])
{
    char low[CLI_NUMBER_ROOM], high[CLI_NUMBER_ROOM];
    if (hyper->kind == EDEN_FLAG) {
        snprintf(text, 160, "0 or 1");
    } else if (hyper->kind == EDEN_CHOICE) {
        size_t n = 0;
        for (const char *s = hyper->choices; *s && n < 157; s++) {
            text[n++] = *s == ',' ? ' ' : *s;
            if (*s == ',') text[n - 1] = '|';
        }
        text[n] = '\0';
    } else {
        snprintf(text, 160, "%c%s, %s%c", hyper->low_open ? '(' : '[',
                 cli_print_number(hyper->low, low),
                 isinf(hyper->high) ? "inf" : cli_print_number(hyper->high, high),
                 hyper->high_open || isinf(hyper->high) ? ')' : ']');
    }
    return text;
}

/* The value of text[0..length) for a setting; 0 if it has none. */
static int read_value(const eden_hyper *hyper, const char *text, size_t length, double *value)
{
    char copy[64];
    uint32_t k = 0;
    if (length >= sizeof copy) return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (hyper->kind == EDEN_CHOICE)
        for (const char *s = hyper->choices; *s; s += strcspn(s, ","), s += *s == ',', k++)
            if (strcspn(s, ",") == length && !strncmp(s, copy, length)) {
                *value = k;
                return 1;
            }
    return hyper->kind != EDEN_CHOICE && cli_read_number(copy, value);
}

/* Is it, before it is rounded to a float? */
static int within(const eden_hyper *hyper, double value)
{
    return hyper->kind == EDEN_REAL
        && (hyper->low_open ? value > hyper->low : value >= hyper->low)
        && (hyper->high_open ? value < hyper->high : value <= hyper->high);
}

/* ---- a set of settings -------------------------------------------------------------- */

int cli_settings_create(cli_settings *settings, const char *name)
{
    *settings = (cli_settings){ .name = name };
    settings->rule = eden_rule_find(name, &settings->preset);
    if (!settings->rule) return cli_unknown_optimizer(name);
    while (eden_rule_hyper(settings->rule, settings->count)) settings->count++;
    settings->values = calloc(settings->count + 1, sizeof *settings->values);
    settings->given = calloc(settings->count + 1, 1);
    if (!settings->values || !settings->given) return cli_no_memory();
    if (eden_rule_defaults(settings->rule, settings->values, settings->count))
        return cli_fail(CLI_INTERNAL, "%s has no defaults", name);
    if (!settings->preset) return CLI_OK;
    const int code = cli_settings_list(settings, NULL, settings->preset->settings);
    memset(settings->given, 0, settings->count);
    return code;
}

void cli_settings_free(cli_settings *settings)
{
    free(settings->values);
    free(settings->given);
    *settings = (cli_settings){ 0 };
}

/* What is wrong with a line, or with the file that settings are of. */
__attribute__((format(printf, 3, 4)))
static int complain(const cli_settings *settings, const cli_command *command, const char *format, ...)
{
    char text[900];
    va_list list;
    va_start(list, format);
    if (vsnprintf(text, sizeof text, format, list) < 0) text[0] = '\0';
    va_end(list);
    if (settings->file)
        return cli_fail(CLI_DATA, "'%.200s' is damaged: its note lab.settings makes no sense: %.600s",
                        settings->file, text);
    return cli_usage(command, "%s", text);
}

static int no_such(const cli_settings *settings, const cli_command *command, const char *name)
{
    char hint[CLI_HINT_ROOM] = "", all[256] = "";
    cli_nearest nearest = { name, NULL, 0 };
    size_t length = 0;
    for (size_t i = 0; i < settings->count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(settings->rule, i);
        cli_nearest_try(&nearest, hyper->name);
        if (length < sizeof all)
            length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "",
                                       hyper->name);
    }
    if (nearest.best) cli_nearest_hint(&nearest, "", hint);
    return complain(settings, command, "%s has no setting '%.60s'%s%s%s", settings->name, name, hint,
                     *hint ? "" : "; it has ", *hint ? "" : all);
}

static int set(cli_settings *settings, const cli_command *command, const char *name,
               const char *text, size_t length)
{
    char range[160];
    double value = 1;
    const size_t i = eden_rule_hyper_index(settings->rule, name);
    if (i == SIZE_MAX) return no_such(settings, command, name);
    const eden_hyper *hyper = eden_rule_hyper(settings->rule, i);
    if (!text && hyper->kind != EDEN_FLAG)
        return complain(settings, command, "%s: %s needs a value, %s", settings->name, name,
                         cli_range_text(hyper, range));
    if (text && !read_value(hyper, text, length, &value))
        return complain(settings, command, "%s: %s = '%.*s' is not %s", settings->name, name,
                         (int)(length < 60 ? length : 60), text,
                         hyper->kind == EDEN_REAL ? "a number" : cli_range_text(hyper, range));
    if (!eden_rule_allows(settings->rule, i, value))
        return complain(settings, command, "%s: %s = %.*s %sis outside %s", settings->name, name,
                         (int)(length < 60 ? length : 60), text ? text : "1",
                         within(hyper, value) ? "rounded to float " : "",
                         cli_range_text(hyper, range));
    if (settings->given[i] && settings->values[i] != value)
        return complain(settings, command, "%s: %s is given twice", settings->name, name);
    settings->values[i] = value;
    settings->given[i] = 1;
    return CLI_OK;
}

int cli_settings_set(cli_settings *settings, const cli_command *command, const char *name,
                     const char *text)
{
    return set(settings, command, name, text, text ? strlen(text) : 0);
}

int cli_settings_list(cli_settings *settings, const cli_command *command, const char *text)
{
    int code = CLI_OK;
    char name[64];
    while (!code && *text) {
        text += strspn(text, " ");
        const size_t item = strcspn(text, ","), length = strcspn(text, "=");
        if (!length || length >= item || length >= sizeof name)
            return complain(settings, command, "'%.*s' is not NAME=VALUE", (int)(item < 60 ? item : 60),
                             text);
        memcpy(name, text, length);
        name[length] = '\0';
        code = set(settings, command, name, text + length + 1, item - length - 1);
        text += item + (text[item] == ',');
    }
    return code;
}

int cli_settings_from(cli_settings *settings, const cli_args *args)
{
    int code = CLI_OK;
    for (size_t i = 0; !code && i < args->setting_count; i++)
        code = cli_settings_set(settings, args->command, args->settings[i].name,
                                args->settings[i].value);
    for (size_t i = 0; !code && i < args->option_count; i++)
        if (!strcmp(args->options[i].name, "set"))
            code = cli_settings_list(settings, args->command, args->options[i].value);
    return code;
}

int cli_settings_check(const cli_settings *settings, const cli_command *command)
{
    float value = 0;
    size_t culprit = 0;
    const char *why = NULL;
    eden_error error = { 0 };
    eden_optimizer *optimizer = NULL;
    if (!eden_rule_check(settings->rule, settings->values, &culprit, &why)) return CLI_OK;
    /* The sentence comes from a step that has nothing to do but to refuse. */
    const eden_tensor tensor = eden_vector(&value, NULL, 1);
    char *text = cli_settings_text(settings);
    if (text && !eden_optimizer_create(&optimizer, settings->name, NULL, &error)
        && !eden_set_text(optimizer, NULL, text, &error)
        && !eden_add_tensor(optimizer, "value", &tensor, NULL, &error))
        eden_step(optimizer, &error);
    eden_optimizer_destroy(optimizer);
    free(text);
    if (!error.status)
        return complain(settings, command, "%s: %s cannot be set so: %s", settings->name,
                         eden_rule_hyper(settings->rule, culprit)->name,
                         why ? why : "outside its range");
    return complain(settings, command, "%s", error.text);
}

char *cli_settings_text(const cli_settings *settings)
{
    char value[64], *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    for (size_t i = 0; i < settings->count; i++) {
        const eden_hyper *hyper = eden_rule_hyper(settings->rule, i);
        if (!settings->given[i]) continue;
        fprintf(out, "%s%s=%s", ftell(out) > 0 ? "," : "", hyper->name,
                cli_value_text(hyper, settings->values[i], value));
    }
    return cli_close_text(out, &text);
}
