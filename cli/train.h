/* train.h - the parts of `eden train`. */
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include <jansson.h>

#include "cli/lock.h"
#include "cli/log.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/source.h"

/* A checkpoint that a run writes again and again. */
typedef struct {
    const char *path;           /* or NULL                                      */
    cli_lock lock;
    int code;                   /* of the last save                             */
    uint64_t step;              /* that it holds; UINT64_MAX: none              */
} cli_kept;

typedef struct {
    const cli_args *args;
    const char *task, *source;  /* where lr came from                           */
    const char *resume;         /* path, or NULL                                */
    FILE *out;                  /* for people                                   */
    lab_saved *saved;           /* of --resume                                  */
    cli_source data;
    lab_config config;
    cli_config_texts texts;     /* config's, where none were given */
    cli_settings settings;
    char *settings_text, *older; /* the checkpoint before that of --save, if needed */
    lab_run *run;
    cli_log log;
    cli_lock log_lock;
    cli_kept save, best;
    cli_progress progress;
    json_t *header, *history;
} cli_training;

/* All of these have told a failure and return the exit code. */

/* What the line says, without looking at any file's contents. */
int cli_train_check(cli_training *t);

/* The config that --resume brings, unless the line contradicts it. */
int cli_train_resume(cli_training *t);

/* A checkpoint that could not be read: the reason, and the one before it if that can
 * be. Returns `code`. */
int cli_train_refuse(const char *path, int code, const char *why);

/* Write the checkpoint of --save. A failure is told, and training goes on. */
void cli_train_save(cli_training *t, int last);

/* Likewise that of --best, if the last evaluation was the best. Before --save: what that
 * says of the best is then in the file, whenever the run ends. */
void cli_train_save_best(cli_training *t);

/* Of a resumed run: is the best so far where --best is to have it? */
void cli_train_find_best(cli_training *t);

/* The lines at the end: which was best, and which files there are. */
void cli_train_tell_best(const cli_training *t);
void cli_train_tell_saved(const cli_training *t);

/* The command that continues from the file of --save. */
void cli_train_print_resume(const cli_training *t);

#endif
