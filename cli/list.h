/* list.h - what list and show share. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include <jansson.h>

#include "cli/names.h"
#include "cli/settings.h"

/* Bytes of state for each weight of a 1024 x 1024 matrix. */
double cli_state_bytes(const cli_settings *settings);

/* Everything about one optimizer; the caller releases it, NULL without memory. */
json_t *cli_describe(const cli_name *name);

const char *cli_shape_text(uint32_t shape); /* of an eden_shape */

#endif
