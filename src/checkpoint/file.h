/* file.h - an open safetensors file; for file.c, join.c and load*.c.
 *
 * A checkpoint of many ranks is a folder of the files that each wrote, and of a manifest
 * that says which belong together:
 *
 *     DIR/manifest.safetensors          no tensors; the metadata of the whole, and
 *         eden.sharded.generation       "3": the files are in DIR/generation-3
 *         eden.sharded.ranks            "4"
 *         eden.sharded.sum.R            the checksum of rank R's file
 *         eden.sharded.entry.NAME       "F32 4 5": dtype and shape of an entry of the whole
 *     DIR/generation-3/rank-0-of-4.safetensors
 *
 * An entry's data is that of the rank files' entries of its name, one behind the other.
 * To whoever opens the folder it is one file. */
#ifndef EDEN_FILE_H
#define EDEN_FILE_H

#include "checkpoint/header.h"

#define EDEN_MANIFEST "manifest.safetensors"
#define EDEN_SHARDED "eden.sharded."
#define EDEN_SHARDED_ENTRY EDEN_SHARDED "entry."

struct eden_file {
    int fd;             /* -1 if it is joined from parts                       */
    char *path;
    eden_header header;
    eden_file **parts; uint32_t part_count;
};

/* Is this the folder of a sharded checkpoint? */
int eden_is_sharded(const char *path);

/* Fill the header and the parts of a file with this path. */
eden_status eden_file_join(eden_file *file, eden_error *error);

/* Give bytes [from, from + bytes) of entry i away, EDEN_FILE_PIECE of them at a time at most, until
 * that fails. Checksums are compared of what is read whole. */
typedef eden_status (*eden_file_take)(void *context, const void *piece, size_t bytes, eden_error *error);
eden_status eden_file_range(eden_file *file, size_t i, uint64_t from, uint64_t bytes, eden_file_take take,
                            void *context, eden_error *error);

/* Bytes [from, from + bytes) of entry i, whose checksums are compared. */
eden_status eden_file_read_range(eden_file *file, size_t i, uint64_t from, uint64_t bytes, void *data,
                                 eden_error *error);

/* A writer without checksums of data, and so without data: only its header, to be freed
 * by the caller, with a zero byte behind it. In writer.c. */
void eden_writer_leave_data(eden_writer *writer);
eden_status eden_writer_header(eden_writer *writer, unsigned char **text, size_t *length, uint64_t *data_bytes,
                               eden_error *error);

#endif
