/* sum.h - the checksums that Eden adds to its files.
 *
 * CRC-64/XZ: well known, in every language, two gigabytes a second with tables,
 * and no burst of up to 64 wrong bits escapes it. The tables are made where they
 * are used because they are faster to make than to read from a program file. */
#ifndef EDEN_SUM_H
#define EDEN_SUM_H

#include <stddef.h>
#include <stdint.h>

/* The keys in a file's metadata, all of which begin with the first. */
#define EDEN_SUM_KEY      "eden.sum"      /* of all other metadata and all entries */
#define EDEN_SUM_TENSOR   "eden.sum."     /* and a name: of that tensor's bytes    */
#define EDEN_SUM_KIND_KEY "eden.sum_kind"
#define EDEN_SUM_KIND     "CRC-64/XZ"
#define EDEN_SUM_ROOM     17

/* What says in a file's metadata that Eden wrote it, so that it must have sums. */
#define EDEN_OWN_KEY      "eden.format"

typedef struct {
    uint64_t table[8][256];
} eden_sum;

void eden_sum_start(eden_sum *sum);

/* The checksum of some bytes that follow those with checksum `before`, at first 0. */
uint64_t eden_sum_bytes(const eden_sum *sum, uint64_t before, const void *data, size_t bytes);

/* What one pair of metadata, or one entry, adds to EDEN_SUM_KEY. They are added up,
 * so that their order does not matter. A pair's key is `prefix` and `key`. */
uint64_t eden_sum_pair(const eden_sum *sum, const char *prefix, const char *key,
                       const char *value);
uint64_t eden_sum_entry(const eden_sum *sum, const char *name, const char *dtype, uint32_t ndim,
                        const uint64_t *shape);

/* As 16 hexadecimal digits in lower case, and back; 0 if the text is not that. */
void eden_sum_print(uint64_t value, char text[EDEN_SUM_ROOM]);
int eden_sum_parse(const char *text, uint64_t *value);

#endif
