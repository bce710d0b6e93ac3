/* place.h - the files that a command writes, so that it destroys none of another's, of its
 * own, or of those that it reads. */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include "cli/args.h"

/* Where a path leads, or would if it were made: links followed, the folder as the system
 * names it. The caller frees it; NULL without memory. */
char *cli_place(const char *path);

/* Is a place called X.old? Then *newer is X, which the caller frees, NULL without memory. */
int cli_place_newer(const char *place, char **newer);

/* A file of the command line, and what stands or comes beside it: `endings` of PATH, ended
 * by NULL, the first "" if PATH itself counts. */
typedef struct {
    const char *option, *path; /* path may be NULL: then there is none        */
    const char *const *endings;
} cli_file;

extern const char *const cli_saved_files[];  /* PATH, PATH.old, PATH.lock      */
extern const char *const cli_logged_files[]; /* PATH, PATH.lock, PATH.part     */
extern const char *const cli_one_file[];     /* PATH                           */

/* Refuse two that have a file in common: CLI_USAGE, told. The "data" is no option. */
int cli_files_apart(const cli_file *a, const cli_file *b, const cli_command *command);

/* All that writing one file touches, its locks of cli_lock_take() among it. */
typedef struct {
    char *newer;               /* of a PATH that is called X.old: X           */
    cli_file files, locks, newer_lock;
} cli_output;

/* `path` may be NULL. Free in any case. The others return CLI_USAGE if they refuse, and
 * have told why; all may be out of memory. */
int cli_output_of(cli_output *output, const char *option, const char *path, const char *const *endings);
void cli_output_free(cli_output *output);

int cli_outputs_apart(const cli_output *a, const cli_output *b, const cli_command *command);
int cli_output_spares(const cli_output *output, const cli_file *input, const cli_command *command);

/* Refuse one whose name is one for locks. */
int cli_output_no_lock(const cli_output *output, const cli_command *command);

/* Refuse to replace what is there and no safetensors file, so nothing that this command
 * wrote: CLI_CANT_CREATE, told. An empty file may be replaced, and one that was damaged
 * behind its first bytes. `path` may be NULL. */
int cli_replaceable(const char *option, const char *path);

#endif
