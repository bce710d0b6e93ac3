/* load_weights.c - a tensor's weights from a file, from another dtype if that was asked for. */
#include "checkpoint/checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
    uint32_t dtype; /* that of float32 for F64, which goes through it          */
} dtypes[] = {
    { "F32", 4, EDEN_F32 }, { "BF16", 2, EDEN_BF16 }, { "F16", 2, EDEN_F16 }, { "F64", 8, EDEN_F32 },
};

static size_t find(const char *dtype)
{
    size_t i = 0;
    while (i < sizeof dtypes / sizeof *dtypes && strcmp(dtypes[i].name, dtype) != 0) i++;
    return i;
}

int eden_converts(const eden_loading *l, const char *dtype)
{
    return l->flags & EDEN_CONVERT && find(dtype) < sizeof dtypes / sizeof *dtypes;
}

enum { BLOCK = 256 };

/* From file to tensor, a block at a time; the first number that becomes infinite, or
 * the count. */
static uint64_t convert(size_t kind, const unsigned char *from, uint32_t dtype, unsigned char *to,
                        uint64_t count, double *lost)
{
    const size_t size = dtype == EDEN_F32 ? sizeof(float) : sizeof(uint16_t);
    float before[BLOCK], after[BLOCK];
    double wide[BLOCK];
    for (uint64_t at = 0; at < count; at += BLOCK) {
        const size_t n = count - at < BLOCK ? (size_t)(count - at) : BLOCK;
        const unsigned char *block = from + at * dtypes[kind].bytes;
        if (dtypes[kind].bytes == sizeof(double)) {
            memcpy(wide, block, n * sizeof *wide);
            for (size_t i = 0; i < n; i++) before[i] = (float)wide[i];
        } else {
            eden_convert(before, EDEN_F32, block, dtypes[kind].dtype, n);
            for (size_t i = 0; i < n; i++) wide[i] = (double)before[i];
        }
        eden_convert(to + at * size, dtype, before, EDEN_F32, n);
        eden_convert(after, EDEN_F32, to + at * size, dtype, n);
        for (size_t i = 0; i < n; i++)
            if (isfinite(wide[i]) && !isfinite(after[i])) {
                *lost = wide[i];
                return at + i;
            }
    }
    return count;
}

static eden_status read_converted(eden_loading *l, size_t i, const eden_file_tensor *t, size_t number,
                                  eden_error *error)
{
    const eden_entry *entry = &l->next.tensors[i];
    char text[EDEN_NUMBER_ROOM];
    double lost = 0;
    unsigned char *stored = malloc((size_t)t->bytes + 1);
    if (!stored) return eden_fail(error, EDEN_E_MEMORY, "no memory for the weights of '%s'", entry->name);
    eden_status status = eden_file_read(l->file, number, stored, t->bytes, error);
    if (!status) {
        const uint64_t at = convert(find(t->dtype), stored, entry->tensor.dtype, l->weights[i],
                                    entry->extent.count, &lost);
        if (at < entry->extent.count)
            status = eden_fail(error, EDEN_E_VALUE, "%.100s: tensor '%.60s' has %s at element %llu, which is "
                               "too large for %s", l->path, entry->name, eden_print_number(lost, text),
                               (unsigned long long)at, eden_weights_dtype(&entry->tensor));
    }
    free(stored);
    l->report.converted++;
    return status;
}

eden_status eden_read_weights(eden_loading *l, size_t i, eden_error *error)
{
    const eden_entry *entry = &l->next.tensors[i];
    const uint64_t bytes = eden_weights_bytes(entry);
    const size_t number = eden_file_find(l->file, entry->name);
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_file_at(l->file, number, &t, NULL);
    l->weights[i] = eden_alloc(bytes, 1);
    if (!l->weights[i])
        return eden_fail(error, EDEN_E_MEMORY, "no memory for the weights of '%s'", entry->name);
    if (strcmp(t.dtype, eden_weights_dtype(&entry->tensor)) != 0)
        return read_converted(l, i, &t, number, error);
    return eden_file_read(l->file, number, l->weights[i], bytes, error);
}
