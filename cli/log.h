/* log.h - the record of a run, one JSON object a line.
 *
 * The first line is the header, which tells what was run and is the only record
 * with "command":
 *
 *     {"command": "train", "version": "0.1.0", "task": "digits", "data": "digits",
 *      "hash": "5d41402abc4b2a76", "model": "mlp", "network": "mlp 64-64-10, ...",
 *      "weights": 4810, "optimizer": "NAME", "settings": {"lr": 0.01, ...},
 *      "schedule": null, "warmup": 0, "clip": 0, "accumulate": 1,
 *      "no_decay": false, "classes": 10, "batch": 32, "seed": 1, "epochs": 20,
 *      "steps": 900}
 *
 * "settings" holds every setting of the optimizer, choices by name; "classes" is 0
 * for a regression; "steps" is the length of the whole run. A run that stores
 * anything but float32 has "storage": {"dtype": "bf16", "grad_dtype": "f32",
 * "state_dtype": "q8", "rounding": "kahan"} as well. Then, every so many
 * steps, a step record:
 *
 *     {"step": 7, "epoch": 1, "lr": 0.01, "loss": 1.93, "accuracy": 0.4375,
 *      "grad_norm": 2.1, "seconds": 0.012}
 *
 * and after each epoch, behind the record of its last step, an epoch record, the
 * only kind with "train_loss":
 *
 *     {"step": 45, "epoch": 1, "train_loss": 0.71, "test_loss": 0.33,
 *      "test_accuracy": 0.91, "seconds": 0.08, "step_seconds": 0.07,
 *      "optimizer_seconds": 0.01, "best_epoch": 1}
 *
 * "best_epoch" is the best of the run so far, by the accuracy or, without one and for
 * a generator, the test loss; "stopped_early": true is in the record after which --early-stop ended it.
 * An epoch of a generator has "test_least_class" and "test_as_asked" as well. A task that
 * measures something else has that name in place of "accuracy", and what only it can be
 * told as "options": "context=64,heads=4". Losses and accuracies of a step are of its
 * batch, before the update; accuracies are shares from 0 to 1 and null for a regression.
 * "grad_norm" is there only if gradients are clipped, which measures it. Times count from
 * the start of training, over all sessions of a resumed run. A file may end in a torn
 * line.
 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include <jansson.h>
#include <stdio.h>

#include "lab/problem.h"

typedef struct {
    const char *path;
    FILE *file;      /* NULL: no log was asked for, or it is lost             */
    uint64_t every;  /* steps to a step record                                */
    int clipped;     /* 1: steps have a grad_norm                             */
    double before;   /* seconds that earlier sessions took                    */
    int code;        /* exit code of a lost write, which has been told        */
} cli_log;

/* The header of a run; the caller releases it, NULL without memory. `settings` is
 * the text of lab_config.settings. */
json_t *cli_log_header(const char *task, const lab_config *config, const lab_problem *problem,
                       uint32_t classes, uint64_t steps);

/* The records above, for others to collect. */
json_t *cli_log_step(const lab_progress *progress, int clipped);
json_t *cli_log_epoch(const lab_progress *progress);

/* What else the last evaluation measured, as "test_least_class": added to `json`. */
void cli_log_facts(json_t *json, const lab_progress *progress);

/* Begin the log of a run at `path`, or continue it after step `done`: records of
 * later steps are dropped, and a log of another run is refused. Takes `header`.
 * Returns the exit code. */
int cli_log_open(cli_log *log, const char *path, json_t *header, uint64_t done);

/* Write the records that this step makes. A log that cannot be written any more is
 * told once, and the run goes on. */
void cli_log_write(cli_log *log, const lab_progress *progress);

/* Returns the exit code of everything written. */
int cli_log_close(cli_log *log);

#endif
