/* compare.h - what a comparison of optimizers measures, and the forms it is told in. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "cli/args.h"
#include "cli/task.h"
#include "lab/data.h"
#include "lab/train.h"

/* At the end of an epoch; epoch 0 is before training. */
typedef struct {
    uint64_t epoch, step;
    double lr, train_loss, test_loss, test_accuracy;
} cli_point;

/* One optimizer with one seed. */
typedef struct {
    uint64_t seed;
    int complete, diverged;
    uint64_t diverged_at;  /* step */
    cli_point *points;     /* points[0] is the network before training */
    size_t count, room;
    uint64_t steps;
    double step_seconds, optimizer_seconds;
    double state_bytes;    /* for each weight */
} cli_trial;

typedef struct {
    char *name;
    char *settings;        /* as the library takes them, or NULL */
    const char *source;    /* of the rate */
    double lr;
    cli_trial *trials;     /* one for each seed */
} cli_entry;

typedef struct {
    const cli_args *args;
    const char *task;
    lab_data data;
    lab_config config;     /* all but optimizer and settings */
    char schedule[CLI_SCHEDULE_ROOM]; /* config's, if none was asked for */
    char *network;         /* lab_model_describe() */
    uint64_t weights, epoch_steps;
    size_t seeds;
    int stateful;          /* 1: some optimizer has state for each weight */
    double target;         /* share of the test set, or a test loss */
    cli_entry control;     /* the same weights, never trained */
    cli_entry *entries;
    size_t count;
} cli_comparison;

/* ---- measuring; these return the exit code ------------------------------------------ */

/* The network before training, with the i-th seed: the control's trial. */
int cli_compare_control(cli_comparison *c, size_t i);

/* Called after each step; returns 0 to stop. */
typedef int (*cli_watch)(void *context, const lab_progress *progress);

/* Train. An optimizer that diverges is a result; a stopped one stays incomplete. */
int cli_compare_train(cli_comparison *c, cli_entry *entry, size_t i, cli_watch watch,
                      void *context);

/* Would it train at all? Refusals are for before the first step. */
int cli_compare_try(cli_comparison *c, const cli_entry *entry);

/* ---- what it comes to ----------------------------------------------------------------- */

/* Mean and sample deviation over the seeds; the latter is 0 for a single one. */
typedef struct {
    double mean, spread;
} cli_mean;

typedef struct {
    size_t diverged;       /* trials; the rest is about the others */
    cli_mean train_loss;   /* of the last epoch's batches */
    cli_mean test;         /* accuracy, or loss of a regression */
    cli_mean steps;        /* to the target; NaN unless every trial reached it */
    double seconds;        /* a step */
    double share;          /* of it in the optimizer */
    double state_bytes;
} cli_summary;

cli_summary cli_summarize(const cli_comparison *c, const cli_entry *entry);

/* Step at the end of the epoch that first reached the target, 0 if none did. */
uint64_t cli_reached(const cli_comparison *c, const cli_trial *trial);

/* Are all trials done? */
int cli_entry_complete(const cli_comparison *c, const cli_entry *entry);

/* ---- telling it ------------------------------------------------------------------------ */

enum { CLI_COLUMNS = 8, CLI_CELL = 64 };
typedef struct {
    char cell[CLI_COLUMNS][CLI_CELL];
} cli_row;

/* "TRAIN LOSS" and the unit below it, "" where there is none. */
void cli_compare_heads(const cli_comparison *c, cli_row *heads, cli_row *units);
void cli_compare_row(const cli_comparison *c, const cli_entry *entry, cli_row *row);

/* Two lines about task and network. The caller frees it; NULL without memory. */
char *cli_compare_about(const cli_comparison *c);

/* One line for each trial that diverged, and what "+-" is; as above. */
char *cli_compare_notes(const cli_comparison *c);

void cli_compare_table(const cli_comparison *c, FILE *out);
int cli_compare_json(const cli_comparison *c);

#endif
