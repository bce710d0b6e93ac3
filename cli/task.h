/* task.h - the operands TASK [DATA] and the options that train and compare share. */
#ifndef CLI_TASK_H
#define CLI_TASK_H

#include "cli/args.h"
#include "cli/settings.h"
#include "lab/data.h"
#include "lab/train.h"

/* All of these have told a failure and return the exit code. */

/* The task's name, "digits", "mnist", "csv", "text", "rl" or "gan", which is also its name in the table
 * of learning rates; refuses unknown tasks, and operands and options that do not
 * belong to the task. It reads no file. */
int cli_task_name(const cli_args *args, const char **name);

/* The data of the task, read in full; `seed` draws the test set of a table. Free
 * with lab_data_free() in any case. */
int cli_task_load(const cli_args *args, uint64_t seed, lab_data *data);

/* Room for the schedule that a run has if none is asked for. */
#define CLI_SCHEDULE_ROOM 64

/* Everything but optimizer and settings: the options given, else the defaults of
 * the task. Texts are those of `args`. */
int cli_task_config(const cli_args *args, const lab_data *data, lab_config *config,
                    char schedule[CLI_SCHEDULE_ROOM]);

/* Does --batch all, which a resumed run may repeat, agree with a batch? */
int cli_task_check_batch(const cli_args *args, uint64_t examples, uint64_t batch);

/* Unless the user gave lr, set it from the table of learning rates; *source says
 * where the value came from. An optimizer that the table does not have keeps its
 * default. --rate-scaling scales a rate of the table, and nothing else. Follow with cli_settings_text() for lab_config.settings. */
int cli_task_rate(const cli_args *args, const lab_config *config, cli_settings *settings,
                  const char **source);

/* "1,437 training and 360 test examples of 8 x 8, 10 classes". Returns `text`. */
#define CLI_TASK_ROOM 160
const char *cli_grouped(uint64_t value, char text[32]); /* 1437 as "1,437" */
const char *cli_task_describe(const lab_data *data, char text[CLI_TASK_ROOM]);

#endif
