/* settings.c - hyperparameters as text, and sentences about them. */
#include "optimizer/settings.h"

#include <stdio.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/text.h"

/* ---- nearest names ------------------------------------------------------------ */

#define MAX_COMPARED 32

/* Letters to insert, delete or replace to make b of a. */
static size_t edit_distance(const char *a, size_t m, const char *b, size_t n)
{
    size_t row[MAX_COMPARED + 1];
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; i <= m; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            const size_t insert = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < insert ? replace : insert;
        }
    }
    return row[n];
}

/* Keep candidate in *best if it is nearer than *distance. */
static void consider(const char *name, size_t length, const char *candidate, const char **best,
                     size_t *distance)
{
    const size_t n = strlen(candidate);
    if (length > MAX_COMPARED || n > MAX_COMPARED) return;
    const size_t d = edit_distance(name, length, candidate, n);
    if (d >= *distance || d * 2 > n) return;
    *distance = d;
    *best = candidate;
}

const char *eden_nearest_rule(const char *name)
{
    const char *best = NULL;
    size_t distance = 4;
    const eden_rule *rule;
    for (size_t i = 0; (rule = eden_rule_at(i)); i++) {
        const eden_preset *preset;
        consider(name, strlen(name), rule->name, &best, &distance);
        for (size_t k = 0; (preset = eden_rule_preset(rule, k)); k++)
            consider(name, strlen(name), preset->name, &best, &distance);
    }
    return best;
}

eden_status eden_unknown_setting(const eden_rule *rule, const char *name, size_t length,
                                 eden_error *error)
{
    const char *best = NULL;
    size_t distance = 4;
    for (size_t h = 0; h < rule->hyper_count; h++)
        consider(name, length, rule->hypers[h].name, &best, &distance);
    if (best)
        return eden_fail(error, EDEN_E_NAME, "%s has no setting '%.*s'; did you mean '%s'?",
                         rule->name, (int)(length < 60 ? length : 60), name, best);
    char list[256] = "";
    size_t used = 0;
    for (size_t h = 0; h < rule->hyper_count && used < sizeof list; h++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", h ? ", " : "",
                                 rule->hypers[h].name);
    return eden_fail(error, EDEN_E_NAME, "%s has no setting '%.*s'; it has %s", rule->name,
                     (int)(length < 60 ? length : 60), name, list);
}

/* ---- values ---------------------------------------------------------------------- */

const char *eden_show_range(const eden_hyper *h, char text[64])
{
    char low[EDEN_NUMBER_ROOM], high[EDEN_NUMBER_ROOM];
    if (h->kind != EDEN_REAL) {
        snprintf(text, 64, "%s", h->kind == EDEN_FLAG ? "0, 1" : h->choices);
        return text;
    }
    if (h->high > 1e300)
        snprintf(text, 64, "%c%s, infinity)", h->low_open ? '(' : '[', eden_print_number(h->low, low));
    else
        snprintf(text, 64, "%c%s, %s%c", h->low_open ? '(' : '[', eden_print_number(h->low, low),
                 eden_print_number(h->high, high), h->high_open ? ')' : ']');
    return text;
}

/* The index-th of "off,raw,corrected"; *length is its length, 0 and NULL for the one after the last. */
static const char *choice_at(const char *choices, size_t index, size_t *length)
{
    while (index-- > 0) {
        choices = strchr(choices, ',');
        if (choices) choices++;
    }
    *length = choices ? strcspn(choices, ",") : 0;
    return choices;
}

const char *eden_show_value(const eden_rule *rule, size_t hyper, double value, char *text)
{
    const eden_hyper *h = &rule->hypers[hyper];
    size_t length;
    if (h->kind == EDEN_CHOICE) { /* and the value is allowed */
        const char *choice = choice_at(h->choices, (size_t)value, &length);
        snprintf(text, EDEN_NUMBER_ROOM, "%.*s", (int)length, choice);
        return text;
    }
    return eden_print_number(value, text);
}

static eden_status refuse_value(const eden_rule *rule, const eden_hyper *h, double value, eden_error *error)
{
    char shown[EDEN_NUMBER_ROOM], range[64];
    eden_print_number(value, shown);
    eden_show_range(h, range);
    if (h->kind != EDEN_REAL)
        return eden_fail(error, EDEN_E_VALUE, "%s: %s = %s is none of %s", rule->name, h->name,
                         shown, range);
    const int only_as_float = value >= h->low && value < h->high && value <= (double)FLT_MAX;
    return eden_fail(error, EDEN_E_VALUE, "%s: %s = %s %sis outside %s", rule->name, h->name, shown,
                     only_as_float ? "rounded to float " : "", range);
}

eden_status eden_check_value(const eden_rule *rule, size_t hyper, double value, eden_error *error)
{
    eden_float_env saved;
    if (eden_rule_allows(rule, hyper, value)) return EDEN_OK;
    eden_float_enter(&saved);
    const eden_status status = refuse_value(rule, &rule->hypers[hyper], value, error);
    eden_float_leave(&saved);
    return status;
}

static int read_choice(const eden_hyper *h, const char *text, size_t length, double *value)
{
    size_t n;
    const char *choice;
    for (size_t i = 0; (choice = choice_at(h->choices, i, &n)); i++) {
        if (n != length || strncmp(choice, text, n) != 0) continue;
        *value = (double)i;
        return 1;
    }
    return 0;
}

/* ---- text ---------------------------------------------------------------------------- */

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\n') at++;
    return at;
}

static size_t trimmed(const char *at, size_t length)
{
    while (length > 0 && strchr(" \t\n", at[length - 1])) length--;
    return length;
}

/* One "name=value"; at[0..length) has no comma and no blanks around it. */
static eden_status parse_one(const eden_rule *rule, const char *at, size_t length, double *values,
                             unsigned char *given, eden_error *error)
{
    const char *equals = memchr(at, '=', length);
    const int shown = (int)(length < 60 ? length : 60);
    if (!equals)
        return eden_fail(error, EDEN_E_VALUE, "'%.*s' is not name=value", shown, at);
    const size_t name_length = trimmed(at, (size_t)(equals - at));
    const char *text = skip_blanks(equals + 1);
    const size_t text_length = (size_t)(at + length - text);

    for (size_t h = 0; h < rule->hyper_count; h++) {
        const eden_hyper *hyper = &rule->hypers[h];
        if (strlen(hyper->name) != name_length || strncmp(hyper->name, at, name_length) != 0) continue;
        if (given[h])
            return eden_fail(error, EDEN_E_VALUE, "%s: %s is given twice", rule->name, hyper->name);
        if (!(hyper->kind == EDEN_CHOICE && read_choice(hyper, text, text_length, &values[h])) &&
            !eden_read_number(text, text_length, &values[h])) {
            char range[64];
            return eden_fail(error, EDEN_E_VALUE, "%s: %s = '%.*s' is not %s%s", rule->name,
                             hyper->name, (int)(text_length < 40 ? text_length : 40), text,
                             hyper->kind == EDEN_REAL ? "a number in " : "one of ",
                             eden_show_range(hyper, range));
        }
        given[h] = 1;
        return eden_check_value(rule, h, values[h], error);
    }
    return eden_unknown_setting(rule, at, name_length, error);
}

eden_status eden_parse_settings(const eden_rule *rule, const char *text, double *values,
                                unsigned char *given, eden_error *error)
{
    const char *at = skip_blanks(text);
    while (*at) {
        const size_t field = strcspn(at, ",");
        const eden_status status = parse_one(rule, at, trimmed(at, field), values, given, error);
        if (status) return status;
        at += field;
        if (*at == ',') at = skip_blanks(at + 1);
    }
    return EDEN_OK;
}
