/* merge.h - one file of what many ranks saved, and back. */
#ifndef CLI_MERGE_H
#define CLI_MERGE_H

#include <eden/safetensors.h>

/* In the folder of a checkpoint of many ranks, what makes it one. */
#define CLI_MANIFEST "manifest.safetensors"

/* All of the checkpoint `from`, a folder or a file, in the file `to`; the one before it is kept
 * as eden_save() does. It need not fit in memory. */
eden_status cli_merge_files(const char *from, const char *to, eden_error *error);

/* An open checkpoint, or other file, as a new generation in a folder of so many ranks; what is in
 * it before is kept as eden_mpi_save() does. */
eden_status cli_split_file(eden_file *file, const char *folder, uint32_t ranks, eden_error *error);

/* Is this such a folder? */
int cli_merge_is_folder(const char *path);

/* Remove such a folder, or a generation in it; what else is there stays. */
void cli_merge_remove(const char *folder);
void cli_merge_remove_generation(const char *folder, const char *name);

#endif
