/* step.h - the parts of `eden step`; for cli/step*.c. */
#ifndef CLI_STEP_H
#define CLI_STEP_H

#include <eden/safetensors.h>

#include "cli/args.h"
#include "cli/lock.h"
#include "lab/storage.h"

/* ---- step_weights.c: the tensors of the two files -------------------------------- */

/* One tensor of the params file. If that is a checkpoint, the entries that are
 * state have no data here and take no part. */
typedef struct {
    eden_file_tensor entry; /* its strings live with the file                 */
    void *data;
    void *grad;             /* NULL: none was given, so it is left alone      */
    const char *group;      /* NULL: the defaults                             */
    uint32_t split;         /* of its dimensions into rows and columns        */
    lab_storage storage;    /* the gradient's is known first, see step_storage.c */
} cli_weight;

typedef struct {
    eden_file *file;        /* of the params, open as long as names are used  */
    cli_weight *list;
    size_t count;
} cli_weights;

/* Read both files and match their tensors by name. Failures have been told;
 * returns the exit code. Free with cli_weights_free() in any case. */
int cli_weights_read(cli_weights *weights, const char *params, const char *grads);
void cli_weights_free(cli_weights *weights);

/* Can the optimizer have it in its care? Others are only copied. */
int cli_weight_is_float(const cli_weight *weight);

/* The eden_dtype of "F32", "BF16" or "F16"; 0 if it is none of these. */
int cli_dtype_of(const char *name, uint32_t *dtype);

/* Write every tensor and the metadata of the params file. Tells nothing. */
eden_status cli_weights_write(const cli_weights *weights, const char *path, eden_error *error);

/* ---- step_groups.c: --group REGEX:NAME=VALUE,... ----------------------------------- */

typedef struct cli_group cli_group;

typedef struct {
    cli_group *list;
    size_t count;
    eden_file *state; /* set by the caller: the file whose groups are used,
                         closed with the groups; or NULL                      */
} cli_groups;

/* Read and check every --group for the optimizer `rule`. Free with
 * cli_groups_free() in any case. */
int cli_groups_read(cli_groups *groups, const cli_args *args, const char *rule);
void cli_groups_free(cli_groups *groups);

/* Make the groups of an optimizer and give each weight its own: the first one whose
 * expression matches, or with a state file the one it had there. A group of the
 * command line that gets no weight is refused. */
int cli_groups_make(cli_groups *groups, cli_weights *weights, eden_optimizer *optimizer);

/* Set their settings, over what a state file said. */
int cli_groups_set(const cli_groups *groups, eden_optimizer *optimizer);

/* ---- step_storage.c: --state-dtype and --rounding --------------------------------- */

/* Say for each weight how it and its state are stored: as the options have it, or with
 * a state file, which may be NULL, as that has it. */
int cli_step_storage(const cli_args *args, const eden_file *state, cli_weights *weights);

/* Refuse --state-dtype where no weight has state, when all is set. */
int cli_step_check_state(const cli_args *args, const cli_weights *weights,
                         const eden_optimizer *optimizer);

/* ---- step_files.c: where things come from and go ------------------------------------- */

typedef struct {
    const char *params, *grads, *state; /* state may be NULL                  */
    const char *out, *state_out;        /* state_out may be NULL              */
    cli_lock out_lock, state_lock;
} cli_step_files;

/* Take the files from the command line, check that they can be what they are to be, before
 * anything is read, and lock the outputs. Free all zero or after this in any case. */
int cli_step_files_read(cli_step_files *files, const cli_args *args);
void cli_step_files_free(cli_step_files *files);

/* ---- step_publish.c -------------------------------------------------------------------- */

/* Write what is to be written: all of it, or nothing. What is replaced stays as PATH.old. */
int cli_step_publish(const cli_step_files *files, const cli_weights *weights,
                     eden_optimizer *optimizer);

#endif
