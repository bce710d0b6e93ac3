/* schedule_tree.h - the compiled form of a schedule; for schedule*.c. */
#ifndef EDEN_SCHEDULE_TREE_H
#define EDEN_SCHEDULE_TREE_H

#include "optimizer/schedule.h"

#define EDEN_SCHEDULE_ARGS 4
#define EDEN_SCHEDULE_DEPTH 8
#define EDEN_SCHEDULE_TEXT 4096

typedef struct eden_schedule_item eden_schedule_item;

/* What numbers an argument may be; see eden_schedule_ranges. */
typedef enum { EDEN_COUNT, EDEN_COUNT_0, EDEN_NOT_NEGATIVE, EDEN_BELOW_1, EDEN_INSIDE_1,
               EDEN_POWER, EDEN_GROW } eden_schedule_range;

typedef struct {
    double low, high;
    int low_open, high_open, whole;
    const char *text;   /* ends the sentence "must be ..." */
} eden_schedule_bounds;

typedef struct {
    const char *name;   /* NULL ends the list */
    int required;
    double initial;
    eden_schedule_range range;
} eden_schedule_argument;

/* One function of the language. `usage` is how it is written, for people. */
typedef struct {
    const char *name, *usage;
    double (*value)(const eden_schedule_item *item, const uint64_t *counts, uint64_t s);
    int takes_counts;   /* any number of step numbers follow, rising */
    eden_schedule_argument arguments[EDEN_SCHEDULE_ARGS + 1];
} eden_schedule_call;

typedef enum { EDEN_ITEM_CALL, EDEN_ITEM_PRODUCT, EDEN_ITEM_SEQUENCE } eden_schedule_kind;

/* A product is followed by its functions, a sequence by its pieces, which are
 * products. `next` is the item after all that. */
struct eden_schedule_item {
    eden_schedule_kind kind;
    size_t next;
    const eden_schedule_call *call;
    double argument[EDEN_SCHEDULE_ARGS];
    uint64_t steps;            /* of a piece of a sequence; 0: to the end     */
    size_t first, count;       /* its milestones among the tree's counts      */
    double best, scale;        /* of a plateau; best if has_best              */
    uint64_t bad;              /* losses in a row that were no better         */
    int has_best;
};

/* One allocation of `bytes`: the items and, behind them, the counts. */
struct eden_schedule_tree {
    size_t bytes;
    size_t item_count, counts_at; /* counts_at: in bytes from the tree */
    eden_schedule_item items[];
};

static inline uint64_t *eden_schedule_counts(const eden_schedule_tree *tree)
{
    return (uint64_t *)((uintptr_t)tree + tree->counts_at);
}

/* Every function but sequence() and absolute(), which the parser knows. NULL past
 * the end. */
const eden_schedule_call *eden_schedule_call_at(size_t i);
const eden_schedule_bounds *eden_schedule_bounds_of(eden_schedule_range range);

/* The product of the whole tree at step s >= 1. */
double eden_schedule_evaluate(const eden_schedule_tree *tree, uint64_t s);

/* The memory of a plateau. */
int eden_schedule_is_plateau(const eden_schedule_item *item);
void eden_schedule_observe(eden_schedule_item *item, double loss);
double eden_schedule_floor(const eden_schedule_item *item);
double eden_schedule_patience(const eden_schedule_item *item);

/* Parse text into a tree of its own; *tree and *absolute only on success. */
eden_status eden_schedule_parse(const char *text, eden_schedule_tree **tree, int *absolute,
                                eden_error *error);

#endif
