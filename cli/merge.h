/* merge.h - one file of what many ranks saved. */
#ifndef CLI_MERGE_H
#define CLI_MERGE_H

#include <eden/eden.h>

/* All of the checkpoint `from`, a folder or a file, in the file `to`; the one before it is kept
 * as eden_save() does. */
eden_status cli_merge_files(const char *from, const char *to, eden_error *error);

/* Remove such a folder; what else is in it stays. */
void cli_merge_remove(const char *folder);

#endif
