/* schedule.c - schedules at work: compiled, copied, asked for a step, remembered. */
#include "optimizer/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/driver.h"
#include "optimizer/schedule_tree.h"
#include "optimizer/text.h"

/* ---- life ------------------------------------------------------------------------ */

eden_status eden_schedule_compile(eden_schedule_node *node, const char *text, eden_error *error)
{
    eden_schedule_node made = { 0 };
    eden_float_env saved;
    eden_float_enter(&saved);
    const eden_status status = eden_schedule_parse(text, &made.tree, &made.absolute, error);
    eden_float_leave(&saved);
    if (status) return status;
    made.text = eden_copy_text(text);
    if (!made.text) {
        eden_schedule_clear(&made);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for a schedule");
    }
    *node = made;
    return EDEN_OK;
}

void eden_schedule_clear(eden_schedule_node *node)
{
    free(node->text);
    free(node->tree);
    *node = (eden_schedule_node){ 0 };
}

eden_status eden_schedule_copy(eden_schedule_node *to, const eden_schedule_node *from,
                               eden_error *error)
{
    eden_schedule_node made = *from;
    made.text = from->text ? eden_copy_text(from->text) : NULL;
    made.tree = from->tree ? eden_alloc(from->tree->bytes, 1) : NULL;
    if ((from->text && !made.text) || (from->tree && !made.tree)) {
        eden_schedule_clear(&made);
        return eden_fail(error, EDEN_E_MEMORY, "no memory for a schedule");
    }
    if (made.tree) memcpy(made.tree, from->tree, from->tree->bytes);
    *to = made;
    return EDEN_OK;
}

/* ---- values ------------------------------------------------------------------------- */

/* Functions of their own, so that the arithmetic stays between entering and leaving
 * the default floating-point environment. */
static EDEN_OUTLINE void apply(const eden_schedule_node *node, uint64_t s, double *value)
{
    const double factor = eden_schedule_evaluate(node->tree, s ? s : 1);
    *value = node->absolute ? factor : *value * factor;
}

static EDEN_OUTLINE void multiply(double *value, double factor) { *value *= factor; }

double eden_schedule_apply(const eden_schedule_node *node, double base, uint64_t s)
{
    eden_float_env saved, left;
    double value = base;
    if (node->function) {
        eden_float_enter(&saved);
        eden_float_leave(&saved);
        const double factor = node->function(s, node->context);
        eden_float_enter(&left); /* which may not be what it found */
        multiply(&value, factor);
        eden_float_leave(&saved);
    } else if (node->tree) {
        eden_float_enter(&saved);
        apply(node, s, &value);
        eden_float_leave(&saved);
    }
    return value;
}

eden_status eden_schedule_value(const char *schedule, uint64_t step, double *value, eden_error *error)
{
    eden_schedule_node node = { 0 };
    if (!schedule || !value)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_schedule_value: %s is NULL",
                         schedule ? "value" : "schedule");
    if (step == 0)
        return eden_fail(error, EDEN_E_ARGUMENT, "eden_schedule_value: step is 0; steps count from 1");
    const eden_status status = eden_schedule_compile(&node, schedule, error);
    if (status) return status;
    *value = eden_schedule_apply(&node, 1, step);
    eden_schedule_clear(&node);
    return EDEN_OK;
}

/* ---- the memory of plateaus ------------------------------------------------------------ */

static eden_schedule_item *plateau_at(const eden_schedule_node *node, size_t *at)
{
    for (; node->tree && *at < node->tree->item_count; ++*at)
        if (eden_schedule_is_plateau(&node->tree->items[*at])) return &node->tree->items[(*at)++];
    return NULL;
}

static EDEN_OUTLINE void observe(eden_schedule_node *node, double loss)
{
    eden_schedule_item *item;
    for (size_t at = 0; (item = plateau_at(node, &at));) eden_schedule_observe(item, loss);
}

void eden_schedule_report(eden_schedule_node *node, double loss)
{
    eden_float_env saved;
    if (!eden_is_finite(loss)) return;
    eden_float_enter(&saved);
    observe(node, loss);
    eden_float_leave(&saved);
}

/* "factor best bad", the best "none" before the first loss, with "; " between two
 * plateaus. */
size_t eden_schedule_memory(const eden_schedule_node *node, char *text, size_t room)
{
    size_t used = 0;
    const eden_schedule_item *item;
    if (room > 0) text[0] = 0;
    for (size_t at = 0; (item = plateau_at(node, &at));) {
        char scale[EDEN_NUMBER_ROOM], best[EDEN_NUMBER_ROOM] = "none";
        if (item->has_best) eden_print_number(item->best, best);
        const size_t left = used < room ? room - used : 0;
        used += (size_t)snprintf(left ? text + used : NULL, left, "%s%s %s %llu", used ? "; " : "",
                                 eden_print_number(item->scale, scale), best,
                                 (unsigned long long)item->bad);
    }
    return used;
}

void eden_schedule_each(const eden_schedule_node *node, void (*tell)(void *context, uint64_t number), void *context)
{
    const eden_schedule_item *item;
    for (size_t at = 0; (item = plateau_at(node, &at));) {
        uint64_t scale, best;
        memcpy(&scale, &item->scale, sizeof scale);
        memcpy(&best, &item->best, sizeof best);
        tell(context, scale);
        tell(context, item->has_best ? best : 0);
        tell(context, (uint64_t)item->has_best);
        tell(context, item->bad);
    }
}

/* One word of text up to a blank, ';' or the end. */
static const char *next_word(const char **at, size_t *length)
{
    const char *word = *at;
    *length = strcspn(word, " ;");
    *at += *length;
    return word;
}

static int next_number(const char **at, double *value)
{
    size_t length;
    const char *word = next_word(at, &length);
    return eden_read_number(word, length, value);
}

/* Read one plateau's memory into *item; 0 if it is not one this plateau can have. */
static int read_memory(const char **at, eden_schedule_item *item)
{
    double bad;
    if (!next_number(at, &item->scale) || item->scale < eden_schedule_floor(item) || item->scale > 1)
        return 0;
    if (*(*at)++ != ' ') return 0;
    item->has_best = strncmp(*at, "none ", 5) != 0;
    item->best = 0;
    if (!item->has_best)
        *at += 4;
    else if (!next_number(at, &item->best))
        return 0;
    if (*(*at)++ != ' ') return 0;
    if (!next_number(at, &bad) || bad < 0 || bad > eden_schedule_patience(item) ||
        bad != (double)(int64_t)bad || (!item->has_best && bad > 0))
        return 0;
    item->bad = (uint64_t)bad;
    return 1;
}

/* Read all of text into the plateaus; 0 if it is not their memory. */
static int read_memories(eden_schedule_node *node, const char *text)
{
    eden_schedule_item *item;
    int first = 1;
    for (size_t at = 0; (item = plateau_at(node, &at)); first = 0) {
        if (!first && strncmp(text, "; ", 2) != 0) return 0;
        text += first ? 0 : 2;
        if (!read_memory(&text, item)) return 0;
    }
    return *text == 0;
}

eden_status eden_schedule_remember(eden_schedule_node *node, const char *text, eden_error *error)
{
    eden_schedule_node made;
    const eden_status status = eden_schedule_copy(&made, node, error);
    if (status) return status;
    if (!read_memories(&made, text)) {
        eden_schedule_clear(&made);
        return eden_fail(error, EDEN_E_FORMAT, "'%.60s' is not the memory of the schedule '%.200s'", text,
                         node->text);
    }
    eden_schedule_clear(node);
    *node = made;
    return EDEN_OK;
}
