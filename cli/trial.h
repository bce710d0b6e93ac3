/* trial.h - one training run and what it measured, for commands that make many. */
#ifndef CLI_TRIAL_H
#define CLI_TRIAL_H

#include "cli/source.h"
#include "lab/problem.h"

/* At the end of an epoch; epoch 0 is before training. */
typedef struct {
    uint64_t epoch, step;
    double lr, train_loss, test_loss, metric; /* the metric as lab_progress has it */
    double seconds;        /* spent in steps so far                             */
} cli_point;

typedef struct {
    uint64_t seed;
    int complete, diverged;
    uint64_t diverged_at;  /* step                                              */
    cli_point *points;
    size_t count, room;
    uint64_t steps;
    double step_seconds, optimizer_seconds;
    double state_bytes;    /* for each weight                                   */
    double fit;            /* at the end: loss of the training set as the test's is
                              measured; NaN if the problem has none             */
} cli_trial;

/* Called after each step; returns 0 to stop. */
typedef int (*cli_watch)(void *context, const lab_progress *progress);

/* All of these have told a failure and return the exit code. */

int cli_trial_add(cli_trial *trial, cli_point point);
void cli_trial_free(cli_trial *trial);

/* Train as `config` says, adding a point for each epoch. A run that diverges is a result;
 * one that is stopped stays incomplete. */
int cli_trial_train(cli_trial *trial, const cli_source *source, const lab_config *config,
                    cli_watch watch, void *context);

/* The point of a network that nothing has trained. */
int cli_trial_untrained(cli_point *point, const cli_source *source, const lab_config *config);

/* ---- what is judged: the metric, or else the test loss ------------------------------- */

double cli_goal(const lab_metric *metric, const cli_point *point);

/* "accuracy", "distance" or "loss", and what a value is multiplied by for people. */
const char *cli_goal_name(const lab_metric *metric);
double cli_goal_scale(const lab_metric *metric);
const char *cli_goal_unit(const lab_metric *metric); /* "%", "" */

/* A value, and its spread unless that is NaN: "95.83 +- 0.21". Returns `text`. */
#define CLI_GOAL_ROOM 64
const char *cli_goal_text(const lab_metric *metric, double value, double spread,
                          char text[CLI_GOAL_ROOM]);

/* Mean and sample deviation; the latter is 0 for a single value. NaN of none. */
typedef struct {
    double mean, spread;
} cli_mean;
cli_mean cli_mean_of(const double *values, size_t count);

#endif
