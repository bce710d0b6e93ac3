/* source.h - what a task learns from, whatever its kind, and how it trains by default. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli/task.h"
#include "lab/problem.h"
#include "lab/text.h"

typedef struct {
    const lab_problem_kind *kind;
    const void *at;            /* what the kind learns from: one of these        */
    lab_data data;
    lab_text text;
    lab_transfer transfer;
} cli_source;

/* All of these have told a failure and return the exit code. */

/* The data of the task, read in full; `seed` draws the test set of a table. Free with
 * cli_source_free() in any case. */
int cli_source_load(const cli_args *args, uint64_t seed, cli_source *source);
void cli_source_free(cli_source *source);

/* Texts that a config points to where no option gave them. */
#define CLI_OPTIONS_ROOM 96
typedef struct {
    char schedule[CLI_SCHEDULE_ROOM], options[CLI_OPTIONS_ROOM];
} cli_config_texts;

/* As cli_task_config(). */
int cli_source_config(const cli_args *args, const cli_source *source, lab_config *config,
                      cli_config_texts *texts);

/* Settings that the task wants of this optimizer and the user has not given. */
int cli_source_settings(const cli_args *args, cli_settings *settings);

/* Does the line agree with a checkpoint's options? `refuse` tells what does not. */
typedef int (*cli_refuse_option)(const void *context, const char *option, const char *given,
                                 const char *theirs);
int cli_source_check(const cli_args *args, const char *options, cli_refuse_option refuse,
                     const void *context);

/* How many classes are told apart; 0: it is no matter of classes. */
uint32_t cli_source_classes(const cli_source *source);

/* What the data of a problem are, in one line; `text` has CLI_TASK_ROOM bytes and is
 * returned. */
const char *cli_source_describe(const cli_source *source, const lab_problem *problem, char *text);

#endif
