/* study.h - a task that is trained many times: what all its runs share, and the tries that
 * find a learning rate. */
#ifndef CLI_STUDY_H
#define CLI_STUDY_H

#include "cli/trial.h"

typedef struct {
    const cli_args *args;
    const char *task;
    cli_source source;
    lab_config config;       /* all but optimizer and settings */
    cli_config_texts texts;  /* config's, where no option gave them */
    /* Known from the first cli_study_try() on. */
    char *data, *contents, *network;
    lab_metric metric;
    uint64_t weights, epoch_steps;
} cli_study;

/* All of these have told a failure and return the exit code. */

/* Read the line and the data. Close in any case. */
int cli_study_open(cli_study *study, const cli_args *args);
void cli_study_close(cli_study *study);

/* What the task and the table of rates want of an optimizer, beside what has been set;
 * *source says where the rate came from. */
int cli_study_settings(const cli_study *study, cli_settings *settings, const char **source);

/* Would it train at all? Refusals are for before the first step. `text` is of
 * cli_settings_text(). */
int cli_study_try(cli_study *study, const char *optimizer, const char *text);

/* The config of one run. */
lab_config cli_study_config(const cli_study *study, const char *optimizer, const char *text,
                            uint64_t seed);

/* "2 epochs of 45 steps, batch 32", then what else is not usual. Returns the text, which
 * the caller frees; NULL after saying that there was no memory. */
char *cli_study_text(const cli_study *study, const char *seeds);

/* ---- tries ----------------------------------------------------------------------------- */

/* One rate, with one seed or several. */
typedef struct {
    double rate;
    size_t runs, diverged;
    cli_mean goal, train_loss; /* of the runs that did not diverge, at their end */
    int complete;
} cli_rate_try;

/* Train with seeds from `seed` on; stopped by the watch it is not complete. The rate in
 * `settings` is the one tried last. */
int cli_rate_run(const cli_study *study, cli_settings *settings, double rate, uint64_t seed,
                 size_t seeds, cli_watch watch, void *context, cli_rate_try *result);

/* Is there a rate to look for? If not, a refusal. */
int cli_rate_check(const cli_study *study, const cli_settings *settings, const char *option);

/* Rounded to two digits, and within what a float can say. */
double cli_rate_round(double rate);

/* The smallest rate whose result is within `margin` of the best, as a share of it; of those
 * no run of which diverged, or NULL. *best is the best of them. */
const cli_rate_try *cli_rate_choose(const cli_study *study, const cli_rate_try *tries,
                                    size_t count, double margin, const cli_rate_try **best);

#endif
