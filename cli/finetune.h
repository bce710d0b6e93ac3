/* finetune.h - what `eden train finetune` has beside other tasks. */
#ifndef CLI_FINETUNE_H
#define CLI_FINETUNE_H

#include "cli/source.h"

/* All of these have told a failure and return the exit code. */

/* Is it that task? */
int cli_finetune_is(const cli_args *args);

/* Options that contradict one another. */
int cli_finetune_options(const cli_args *args);

/* Of a source whose images are there; `describe` returns `text`, of CLI_TASK_ROOM bytes. */
int cli_finetune_load(const cli_args *args, cli_source *source);
int cli_finetune_config(const cli_args *args, const cli_source *source, lab_config *config,
                        cli_config_texts *texts);
const char *cli_finetune_describe(const cli_source *source, uint64_t examples, char *text);

/* As cli_source_check(). */
int cli_finetune_check(const cli_args *args, const char *theirs, cli_refuse_option refuse,
                       const void *context);

#endif
