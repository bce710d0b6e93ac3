/* format.c - what reader and writer of safetensors agree on. */
#include "checkpoint/format.h"

#include <string.h>

/* In the order of the reference implementation, whose writer sorts by it. */
static const struct {
    char name[12];
    unsigned bits;
} formats[] = {
    { "BOOL", 8 },        { "F4", 4 },           { "F6_E2M3", 6 }, { "F6_E3M2", 6 },
    { "U8", 8 },          { "I8", 8 },           { "F8_E5M2", 8 }, { "F8_E4M3", 8 },
    { "F8_E8M0", 8 },     { "F8_E4M3FNUZ", 8 },  { "F8_E5M2FNUZ", 8 },
    { "I16", 16 },        { "U16", 16 },         { "F16", 16 },    { "BF16", 16 },
    { "I32", 32 },        { "U32", 32 },         { "F32", 32 },    { "C64", 64 },
    { "F64", 64 },        { "I64", 64 },         { "U64", 64 },
};

unsigned eden_format_find(const char *dtype)
{
    for (unsigned i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(formats[i].name, dtype) == 0) return i;
    return EDEN_NO_FORMAT;
}

const char *eden_format_name(unsigned format) { return formats[format].name; }

const char *eden_format_bytes(unsigned format, uint32_t ndim, const uint64_t *shape, uint64_t *bytes)
{
    uint64_t count = 1, bits;
    int empty = 0;
    /* A product that overflows is refused wherever in the shape a 0 stands. */
    for (uint32_t d = 0; d < ndim; d++) {
        if (shape[d] == 0)
            empty = 1;
        else if (__builtin_mul_overflow(count, shape[d], &count))
            return "its shape has more than 2^64 - 1 elements";
    }
    if (empty) count = 0;
    if (__builtin_mul_overflow(count, (uint64_t)formats[format].bits, &bits))
        return "its shape has more than 2^64 - 1 bits";
    if (bits % 8) return "its elements do not fill whole bytes";
    *bytes = bits / 8;
    return NULL;
}
