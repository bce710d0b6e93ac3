/* train.h - the parts of `eden train`. */
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include <jansson.h>

#include "cli/lock.h"
#include "cli/log.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/source.h"

typedef struct {
    const cli_args *args;
    const char *task, *source;  /* where lr came from                           */
    const char *save, *resume;  /* paths, or NULL                               */
    FILE *out;                  /* for people                                   */
    lab_saved *saved;           /* of --resume                                  */
    cli_source data;
    lab_config config;
    cli_config_texts texts;     /* config's, where none were given */
    cli_settings settings;
    char *settings_text, *older; /* the checkpoint before that of --save, if needed */
    lab_run *run;
    cli_log log;
    cli_lock save_lock, log_lock;
    cli_progress progress;
    json_t *header, *history;
    int save_code;              /* of the last save                             */
    uint64_t saved_step;        /* that `save` holds; UINT64_MAX: none          */
} cli_training;

/* All of these have told a failure and return the exit code. */

/* What the line says, without looking at any file's contents. */
int cli_train_check(cli_training *t);

/* The config that --resume brings, unless the line contradicts it. */
int cli_train_resume(cli_training *t);

/* A checkpoint that could not be read: the reason, and the one before it if that can
 * be. Returns `code`. */
int cli_train_refuse(const char *path, int code, const char *why);

/* The command that continues from t->save. */
void cli_train_print_resume(const cli_training *t);

#endif
