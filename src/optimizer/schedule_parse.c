/* schedule_parse.c - the text of schedules.
 *
 *     schedule = product
 *     product  = function { "*" function }
 *     function = "absolute(" product ")"                        once, not in a sequence
 *              | "sequence(" product "," n { "," product "," n } "," product ")"
 *              | name "(" [ argument { "," argument } ] ")"
 *     argument = [ name "=" ] number
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optimizer/schedule_tree.h"
#include "optimizer/text.h"

typedef struct {
    const char *text, *at;
    eden_schedule_tree *tree;
    size_t counts_used;
    int absolute, in_sequence, depth;
    eden_error *error;
} parser;

/* ---- sentences ---------------------------------------------------------------- */

static eden_status wrong(const parser *p, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static eden_status wrong(const parser *p, const char *at, const char *format, ...)
{
    char sentence[440];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return eden_fail(p->error, EDEN_E_VALUE, "schedule, at character %zu: %s",
                     (size_t)(at - p->text) + 1, sentence);
}

/* So much of a word as a sentence shows. */
static int shown(size_t length) { return (int)(length < 40 ? length : 40); }

static eden_status unknown_function(const parser *p, const char *at, size_t length)
{
    char list[256];
    size_t used = 0;
    const eden_schedule_call *call;
    for (size_t i = 0; (call = eden_schedule_call_at(i)) && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s, ", call->name);
    return wrong(p, at, "there is no function '%.*s'; there are %ssequence and absolute", shown(length),
                 at, list);
}

/* ---- words ------------------------------------------------------------------------- */

static int is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(parser *p)
{
    while (is_blank(*p->at)) p->at++;
}

static int take(parser *p, char c)
{
    skip_blanks(p);
    if (*p->at != c) return 0;
    p->at++;
    return 1;
}

static size_t name_length(const char *at)
{
    size_t n = 0;
    while ((at[n] >= 'a' && at[n] <= 'z') || (at[n] >= 'A' && at[n] <= 'Z') || at[n] == '_' ||
           (n > 0 && at[n] >= '0' && at[n] <= '9'))
        n++;
    return n;
}

/* What stands between two marks, without the blanks around it. */
static const char *take_word(parser *p, size_t *length)
{
    skip_blanks(p);
    const char *word = p->at;
    p->at += strcspn(p->at, ",()=*");
    size_t n = (size_t)(p->at - word);
    while (n > 0 && is_blank(word[n - 1])) n--;
    *length = n;
    return word;
}

static int is_word(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

/* The ')' that belongs to the '(' at `open`. */
static eden_status take_close(parser *p, const char *open)
{
    if (take(p, ')')) return EDEN_OK;
    if (!*p->at) return wrong(p, open, "this '(' is never closed: a ')' is missing");
    return wrong(p, p->at, "'%.1s' stands where ',' or ')' is expected", p->at);
}

static eden_schedule_item *new_item(parser *p, eden_schedule_kind kind)
{
    eden_schedule_item *item = &p->tree->items[p->tree->item_count++];
    item->kind = kind;
    item->next = p->tree->item_count;
    item->scale = 1;
    return item;
}

/* ---- arguments ---------------------------------------------------------------------- */

/* `function` and `name` say whose number it is. */
static eden_status read_value(const parser *p, const char *word, size_t length, const char *function,
                              const char *name, eden_schedule_range range, double *value)
{
    const eden_schedule_bounds *b = eden_schedule_bounds_of(range);
    double x;
    if (!eden_read_number(word, length, &x))
        return wrong(p, word, "%s: %s = '%.*s' is not a number; it must be %s", function, name,
                     shown(length), word, b->text);
    if (x < b->low || (b->low_open && x == b->low) || x > b->high || (b->high_open && x == b->high) ||
        (b->whole && x != (double)(int64_t)x))
        return wrong(p, word, "%s: %s = %.*s must be %s", function, name, shown(length), word, b->text);
    *value = x == 0 ? 0 : x; /* -0 is 0 */
    return EDEN_OK;
}

static eden_status add_count(parser *p, eden_schedule_item *item, const char *word, size_t length)
{
    uint64_t *counts = eden_schedule_counts(p->tree);
    double n;
    const eden_status status =
        read_value(p, word, length, item->call->name, "step", EDEN_COUNT, &n);
    if (status) return status;
    if (item->count && (uint64_t)n == counts[p->counts_used - 1])
        return wrong(p, word, "%s: step %.*s is given twice", item->call->name, shown(length), word);
    if (item->count && (uint64_t)n < counts[p->counts_used - 1])
        return wrong(p, word, "%s: step %.*s stands after %llu; sort the steps so that they rise",
                     item->call->name, shown(length), word,
                     (unsigned long long)counts[p->counts_used - 1]);
    counts[p->counts_used++] = (uint64_t)n;
    item->count++;
    return EDEN_OK;
}

/* Which argument a name means; *index is past the end if there is none. */
static eden_status find_argument(const parser *p, const eden_schedule_call *call, const char *word,
                                 size_t length, size_t *index)
{
    size_t i = 0;
    while (call->arguments[i].name && !is_word(word, length, call->arguments[i].name)) i++;
    *index = i;
    if (call->arguments[i].name) return EDEN_OK;
    return wrong(p, word, "%s has no argument '%.*s'; it is written %s", call->name, shown(length), word,
                 call->usage);
}

/* The argument that stands at p->at: number or name=number. Bit i of *given and of
 * *named say that argument i was given, by its name. */
static eden_status take_argument(parser *p, eden_schedule_item *item, unsigned *given, int *named)
{
    const eden_schedule_call *call = item->call;
    eden_status status;
    size_t length, i = 0;
    const char *word = take_word(p, &length);
    if (*p->at == '(')
        return wrong(p, word, "%s: '%.*s(' stands where a number is expected; it is written %s", call->name,
                     shown(length), word, call->usage);
    if (*p->at == '=') {
        status = find_argument(p, call, word, length, &i);
        if (status) return status;
        if (*given >> i & 1)
            return wrong(p, word, "%s: %s is given twice; leave one out", call->name,
                         call->arguments[i].name);
        p->at++;
        word = take_word(p, &length);
        *named = 1;
    } else {
        if (length == 0 && (*p->at == ',' || *p->at == ')'))
            return wrong(p, word, "%s: a number is missing before '%.1s'", call->name, p->at);
        while (call->arguments[i].name && *given >> i & 1) i++;
        if (!call->arguments[i].name && call->takes_counts) return add_count(p, item, word, length);
        if (!call->arguments[i].name)
            return wrong(p, word, "%s: '%.*s' is an argument too many; it is written %s", call->name,
                         shown(length), word, call->usage);
        if (*named)
            return wrong(p, word, "%s: '%.*s' stands after a named argument; write %s=%.*s", call->name,
                         shown(length), word, call->arguments[i].name, shown(length), word);
    }
    *given |= 1u << i;
    return read_value(p, word, length, call->name, call->arguments[i].name, call->arguments[i].range,
                      &item->argument[i]);
}

/* name(...) from behind the '(' on. */
static eden_status parse_call(parser *p, const eden_schedule_call *call, const char *name,
                              const char *open)
{
    eden_schedule_item *item = new_item(p, EDEN_ITEM_CALL);
    eden_status status = EDEN_OK;
    unsigned given = 0;
    int named = 0;
    item->call = call;
    item->first = p->counts_used;
    for (size_t i = 0; call->arguments[i].name; i++) item->argument[i] = call->arguments[i].initial;
    skip_blanks(p);
    if (!*p->at) return take_close(p, open);
    if (*p->at != ')') {
        do {
            skip_blanks(p);
            if (!*p->at) return take_close(p, open);
            status = take_argument(p, item, &given, &named);
        } while (!status && take(p, ','));
    }
    if (!status) status = take_close(p, open);
    if (status) return status;
    for (size_t i = 0; call->arguments[i].name; i++)
        if (call->arguments[i].required && !(given >> i & 1))
            return wrong(p, name, "%s: the argument %s is missing; it is written %s", call->name,
                         call->arguments[i].name, call->usage);
    if (call->takes_counts && !item->count)
        return wrong(p, name, "%s: its steps are missing; it is written %s", call->name, call->usage);
    return EDEN_OK;
}

/* ---- products and what holds them ------------------------------------------------------ */

static eden_status parse_product(parser *p);

static eden_status parse_sequence(parser *p, const char *open)
{
    const size_t at = p->tree->item_count;
    size_t pieces = 0, length;
    eden_status status;
    new_item(p, EDEN_ITEM_SEQUENCE);
    p->in_sequence++;
    for (;; pieces++) {
        const size_t piece = p->tree->item_count;
        double n;
        status = parse_product(p);
        if (status || !take(p, ',')) break;
        const char *word = take_word(p, &length);
        if (!*word) return take_close(p, open);
        status = read_value(p, word, length, "sequence", "n", EDEN_COUNT, &n);
        if (status) return status;
        p->tree->items[piece].steps = (uint64_t)n;
        if (!take(p, ',')) {
            if (*p->at != ')') return take_close(p, open);
            return wrong(p, p->at, "sequence: what follows after %.*s steps is missing; it is written "
                                   "sequence(A, n, B, m, C)", shown(length), word);
        }
    }
    p->in_sequence--;
    if (!status) status = take_close(p, open);
    if (!status && pieces == 0)
        return wrong(p, open, "sequence: one schedule is no sequence; it is written "
                              "sequence(A, n, B, m, C)");
    p->tree->items[at].next = p->tree->item_count;
    return status;
}

static eden_status parse_absolute(parser *p, const char *name, const char *open)
{
    if (p->in_sequence)
        return wrong(p, name, "absolute() cannot stand inside sequence(); put it around the whole");
    if (p->absolute) return wrong(p, name, "absolute() stands here a second time; leave one out");
    p->absolute = 1;
    const eden_status status = parse_product(p);
    return status ? status : take_close(p, open);
}

static eden_status parse_function(parser *p)
{
    skip_blanks(p);
    const char *name = p->at;
    const size_t length = name_length(name);
    if (length == 0 && (!*name || strchr(",()*", *name)))
        return wrong(p, name, "a function is missing %s", *name ? "here" : "at the end");
    if (length == 0) {
        size_t word;
        take_word(p, &word);
        return wrong(p, name, "'%.*s' is not a function; a plain number is written constant(0.5)",
                     shown(word ? word : 1), name);
    }
    p->at += length;
    skip_blanks(p);
    const char *open = p->at;
    size_t i = 0;
    const eden_schedule_call *call;
    while ((call = eden_schedule_call_at(i)) && !is_word(name, length, call->name)) i++;
    const int sequence = is_word(name, length, "sequence"), absolute = is_word(name, length, "absolute");
    if (!call && !sequence && !absolute) return unknown_function(p, name, length);
    if (!take(p, '('))
        return wrong(p, open, "'(' is missing after %.*s%s%s", (int)length, name,
                     call ? "; it is written " : "", call ? call->usage : "");
    if (call) return parse_call(p, call, name, open);
    if (++p->depth > EDEN_SCHEDULE_DEPTH)
        return wrong(p, name, "nested deeper than %d; write the pieces as one sequence",
                     EDEN_SCHEDULE_DEPTH);
    const eden_status status =
        sequence ? parse_sequence(p, open) : parse_absolute(p, name, open);
    p->depth--;
    return status;
}

static eden_status parse_product(parser *p)
{
    const size_t at = p->tree->item_count;
    eden_status status;
    new_item(p, EDEN_ITEM_PRODUCT);
    do status = parse_function(p);
    while (!status && take(p, '*'));
    p->tree->items[at].next = p->tree->item_count;
    return status;
}

/* ---- the whole text ----------------------------------------------------------------------- */

/* Every function has a '(', and every product begins the text or follows a '(' or
 * a ','; so these marks bound what there can be. */
static eden_schedule_tree *new_tree(const char *text)
{
    size_t opens = 0, commas = 0;
    for (; *text; text++) {
        opens += *text == '(';
        commas += *text == ',';
    }
    const size_t counts_at =
        sizeof(eden_schedule_tree) + (2 * opens + commas + 1) * sizeof(eden_schedule_item);
    const size_t bytes = counts_at + (opens + commas) * sizeof(uint64_t);
    eden_schedule_tree *tree = eden_alloc(bytes, 1);
    if (tree) tree->bytes = bytes, tree->counts_at = counts_at;
    return tree;
}

eden_status eden_schedule_parse(const char *text, eden_schedule_tree **tree, int *absolute,
                                eden_error *error)
{
    parser p = { .text = text, .at = text, .error = error };
    const size_t length = strlen(text);
    skip_blanks(&p);
    if (!*p.at)
        return eden_fail(error, EDEN_E_VALUE, "the schedule is empty; write one as cosine(1000)");
    if (length > EDEN_SCHEDULE_TEXT)
        return eden_fail(error, EDEN_E_VALUE, "the schedule is %zu characters long, at most %d can be "
                         "read", length, EDEN_SCHEDULE_TEXT);
    p.tree = new_tree(text);
    if (!p.tree) return eden_fail(error, EDEN_E_MEMORY, "no memory for a schedule");
    eden_status status = parse_product(&p);
    skip_blanks(&p);
    if (!status && *p.at == ')') status = wrong(&p, p.at, "this ')' was never opened; leave it out");
    if (!status && *p.at)
        status = wrong(&p, p.at, "'%.*s' follows after the schedule's end; functions are joined by '*'",
                       shown(strlen(p.at)), p.at);
    if (status) {
        free(p.tree);
        return status;
    }
    *tree = p.tree;
    *absolute = p.absolute;
    return EDEN_OK;
}
