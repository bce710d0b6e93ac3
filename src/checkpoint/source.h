/* source.h - data that a writer takes from an open file, piece by piece. */
#ifndef EDEN_SOURCE_H
#define EDEN_SOURCE_H

#include "checkpoint/durable.h"
#include "checkpoint/file.h"
#include "checkpoint/sum.h"

/* From byte `from` of tensor `at` on; no file, no source. */
typedef struct {
    eden_file *file;
    size_t at;
    uint64_t from;
} eden_source;

/* Does the file have as many bytes there? `name` is what they become. */
eden_status eden_source_check(const eden_source *source, const char *name, uint64_t bytes, eden_error *error);

/* Their checksum; and write them, which must still have the one that was printed. */
eden_status eden_source_sum(const eden_source *source, uint64_t bytes, const eden_sum *table, uint64_t *sum,
                            eden_error *error);
eden_status eden_source_write(const eden_source *source, uint64_t bytes, const eden_sum *table,
                              const char printed[EDEN_SUM_ROOM], eden_durable *durable, eden_error *error);

#endif
