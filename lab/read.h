/* read.h - bytes of a file, gzipped or not, that may come from anywhere. */
#ifndef LAB_READ_H
#define LAB_READ_H

#include <eden/eden.h>

/* Reads front to back in bounded memory. gzip's checksums are checked, members
 * may follow one another, and anything else behind the last one is refused. A
 * gzipped file may grow to 128 MiB or 200 times its size, whichever is more, so
 * that a few megabytes cannot fill a machine's memory. */
typedef struct lab_reader lab_reader;

/* A regular file. More than `limit` bytes of content will be an error. */
eden_status lab_reader_open(lab_reader **reader, const char *path, uint64_t limit,
                            eden_error *error);

/* Bytes in memory, which must outlive the reader; `name` is for errors. */
eden_status lab_reader_memory(lab_reader **reader, const char *name, const void *bytes,
                              size_t size, eden_error *error);
void lab_reader_close(lab_reader *reader);

/* Fill `buffer`; *got is less than `room` only where the content ends. */
eden_status lab_read(lab_reader *reader, void *buffer, size_t room, size_t *got,
                     eden_error *error);

/* More content than this cannot come, or is refused, known before any is read. */
uint64_t lab_reader_most(const lab_reader *reader);
const char *lab_reader_path(const lab_reader *reader);

#endif
