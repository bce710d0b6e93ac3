/* format.h - what reader and writer of safetensors agree on. */
#ifndef EDEN_FORMAT_H
#define EDEN_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define EDEN_HEADER_MOST 100000000u /* bytes of a header                        */
#define EDEN_NAME_MOST   65535u     /* bytes of a tensor's name                 */
#define EDEN_NDIM_MOST   64u        /* dimensions that a header may list        */
#define EDEN_METADATA    "__metadata__"

/* The element types, from 0 on in the order by which the writer sorts. */
#define EDEN_NO_FORMAT 255u
unsigned eden_format_find(const char *dtype); /* or EDEN_NO_FORMAT               */
const char *eden_format_name(unsigned format);

/* Bytes of a packed tensor; NULL, or what is wrong with the shape. */
const char *eden_format_bytes(unsigned format, uint32_t ndim, const uint64_t *shape,
                              uint64_t *bytes);

#endif
