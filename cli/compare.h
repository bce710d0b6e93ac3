/* compare.h - what a comparison of optimizers measures, and the forms it is told in. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "cli/study.h"

typedef struct {
    char *name;
    cli_settings set;
    char *settings;        /* the same as the library takes them, or NULL */
    const char *source;    /* of the rate */
    double lr;
    cli_rate_try *tried;   /* the comparison's `budget` of them, by rate  */
    const cli_rate_try *best; /* of them, or NULL */
    cli_trial *trials;     /* one for each seed; points[0] is the network before training */
} cli_entry;

typedef struct {
    const cli_args *args;
    cli_study study;
    size_t seeds, budget;
    int stateful;          /* 1: some optimizer has state for each weight */
    double target;         /* as cli_goal(); NaN: none */
    cli_entry control;     /* the same weights, never trained */
    cli_entry *entries;
    size_t count;
} cli_comparison;

/* ---- measuring; these return the exit code ------------------------------------------ */

/* Which optimizers, and how each is set. Free in any case. */
int cli_entries_create(cli_comparison *c);
void cli_entries_free(cli_comparison *c);

/* The network before training, with the i-th seed: the control's trial. */
int cli_compare_control(cli_comparison *c, size_t i);

/* Train with the i-th seed. An optimizer that diverges is a result; a stopped one stays
 * incomplete. */
int cli_compare_train(cli_comparison *c, cli_entry *entry, size_t i, cli_watch watch,
                      void *context);

/* Spend the budget: try rates around the entry's with the seed that follows the others,
 * and take the best. */
int cli_compare_tune(cli_comparison *c, cli_entry *entry, cli_watch watch, void *context);

/* From the line: everything that can be refused is, before the first step. `c` begins as
 * zeroes but for its args; free in any case. */
int cli_compare_prepare(cli_comparison *c);
void cli_compare_free(cli_comparison *c);

/* Rates, controls and all runs, with a bar whose words `label` begins. */
int cli_compare_all(cli_comparison *c, const char *label);

/* ---- what it comes to ----------------------------------------------------------------- */

typedef struct {
    size_t diverged;       /* trials; the rest is about the others */
    cli_mean train_loss;   /* of the last epoch's batches */
    cli_mean test;         /* cli_goal() */
    cli_mean gap;          /* test loss less the training set's; NaN if there is none */
    cli_mean steps;        /* to the target; NaN unless every trial reached it */
    cli_mean target_seconds; /* in steps till then */
    size_t reached;        /* trials that did reach it */
    double seconds;        /* a step */
    double share;          /* of it in the optimizer */
    double state_bytes;
} cli_summary;

cli_summary cli_summarize(const cli_comparison *c, const cli_entry *entry);

/* The end of the epoch that first reached the target, or NULL. */
const cli_point *cli_reached(const cli_comparison *c, const cli_trial *trial);

/* Are all trials done? */
int cli_entry_complete(const cli_comparison *c, const cli_entry *entry);

/* ---- telling it ------------------------------------------------------------------------ */

enum {
    CLI_OPTIMIZER, CLI_TRAIN, CLI_TEST, CLI_GAP, CLI_STEPS, CLI_TIME, CLI_STEP, CLI_UPDATE,
    CLI_STATE, CLI_RATE, CLI_COLUMNS,
    CLI_CELL = CLI_GOAL_ROOM
};
typedef struct {
    char cell[CLI_COLUMNS][CLI_CELL];
} cli_row;

/* "TRAIN" and the unit below it, "" where there is none. */
void cli_compare_heads(const cli_comparison *c, cli_row *heads, cli_row *units);
void cli_compare_row(const cli_comparison *c, const cli_entry *entry, cli_row *row);

/* "seeds 1 to 3". Returns `text`. */
#define CLI_SEEDS_ROOM 64
const char *cli_compare_seeds(const cli_comparison *c, char text[CLI_SEEDS_ROOM]);

/* Two lines about task and network. The caller frees it; NULL without memory. */
char *cli_compare_about(const cli_comparison *c);

/* One line for each trial that diverged, and what "+-" is; as above. */
char *cli_compare_notes(const cli_comparison *c);

/* The rates that were tried, a line for each optimizer; "" without a budget; as above. */
char *cli_compare_tried(const cli_comparison *c);

void cli_compare_table(const cli_comparison *c, FILE *out);
int cli_compare_json(const cli_comparison *c);

#endif
