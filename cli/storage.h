/* storage.h - the options --dtype, --grad-dtype, --state-dtype and --rounding. */
#ifndef CLI_STORAGE_H
#define CLI_STORAGE_H

#include <jansson.h>

#include "cli/settings.h"
#include "lab/storage.h"

/* The options given, else float32; a way to round that has nothing to round is
 * refused. Returns the exit code. */
int cli_storage_read(const cli_args *args, lab_storage *storage);

/* Can an optimizer with these settings have it? The refusal has been told. */
int cli_storage_check(const lab_storage *storage, const cli_settings *settings,
                      const cli_command *command);

/* Does a rule keep anything that --state-dtype is about? If nothing does, the refusal
 * says what it is that keeps nothing. */
int cli_storage_has_state(const eden_rule *rule, const double *values);
int cli_storage_no_state(uint32_t state_dtype, const char *what, const cli_command *command);

int cli_storage_is_plain(const lab_storage *storage); /* float32 throughout */

/* "weights bf16 (kahan), gradients f32, state q8". Returns `text`. */
#define CLI_STORAGE_ROOM 80
const char *cli_storage_text(const lab_storage *storage, char text[CLI_STORAGE_ROOM]);

/* The same for other programs; NULL without memory. */
json_t *cli_storage_json(const lab_storage *storage);

#endif
