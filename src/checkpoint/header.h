/* header.h - the header of a safetensors file as tables. */
#ifndef EDEN_HEADER_H
#define EDEN_HEADER_H

#include <eden/safetensors.h>

#include "checkpoint/json.h"
#include "checkpoint/names.h"
#include "checkpoint/sum.h"

/* Text is given as its place in the header. */
typedef struct {
    uint64_t begin, end;    /* of the data, from its start                     */
    uint32_t name, shape;   /* the name; the text of the shape                 */
    uint32_t sum;           /* the checksum's text, 0 if there is none         */
    uint8_t format, ndim;
} eden_header_entry;

typedef struct {
    uint32_t key, value;
} eden_pair;

typedef struct {
    unsigned char *text;
    size_t length;
    eden_header_entry *entries;    /* in the order of the data                        */
    size_t count;
    eden_pair *pairs;       /* visible metadata in its order, then Eden's sums */
    size_t pair_count, visible;
    eden_names names, keys;
    eden_sum sum;
    int joined;             /* from parts, which have the sums of the data     */
} eden_header;

/* Read the header in text[0..length), which begins with '{' and ends before a zero byte,
 * for `data_bytes` of data. The text is taken over and changed. The header does not move
 * afterwards, and eden_header_free() is due whether this succeeds or not. */
eden_status eden_header_read(eden_header *header, const char *path, uint64_t data_bytes,
                             eden_error *error);
void eden_header_free(eden_header *header);

const char *eden_header_text(const eden_header *header, uint32_t place);

/* The dimensions of an entry, of which there are entry->ndim. */
void eden_header_shape(const eden_header *header, const eden_header_entry *entry, uint64_t *shape);

/* eden_file_at() for a tensor of up to EDEN_NDIM_MOST dimensions, with its shape apart. Not
 * of the interface: cli/inspect.h declares it again, for the command has the static library. */
void eden_file_look(const eden_file *file, size_t i, eden_file_tensor *tensor, uint64_t *shape);

#endif
