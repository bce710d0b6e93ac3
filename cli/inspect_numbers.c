/* inspect_numbers.c - the range of a tensor's numbers, read a piece at a time. */
#include <math.h>
#include <string.h>

#include "cli/inspect.h"

/* The elements of a piece, as doubles. */
typedef void (*reading)(const unsigned char *piece, size_t count, double *to);

#define NUMBERS(name, type)                                                     \
    static void name(const unsigned char *piece, size_t count, double *to)       \
    {                                                                            \
        for (size_t i = 0; i < count; i++) {                                     \
            type value;                                                          \
            memcpy(&value, piece + i * sizeof value, sizeof value);              \
            to[i] = (double)value;                                               \
        }                                                                        \
    }
NUMBERS(read_u8, uint8_t)
NUMBERS(read_i8, int8_t)
NUMBERS(read_u16, uint16_t)
NUMBERS(read_i16, int16_t)
NUMBERS(read_u32, uint32_t)
NUMBERS(read_i32, int32_t)
NUMBERS(read_u64, uint64_t)
NUMBERS(read_i64, int64_t)
NUMBERS(read_f32, float)
NUMBERS(read_f64, double)

enum { BLOCK = 256 };

static void read_16(const unsigned char *piece, size_t count, double *to, uint32_t dtype)
{
    uint16_t stored[BLOCK];
    float floats[BLOCK];
    memcpy(stored, piece, count * sizeof *stored);
    eden_convert(floats, EDEN_F32, stored, dtype, count);
    for (size_t i = 0; i < count; i++) to[i] = (double)floats[i];
}

static void read_f16(const unsigned char *piece, size_t count, double *to)
{
    read_16(piece, count, to, EDEN_F16);
}

static void read_bf16(const unsigned char *piece, size_t count, double *to)
{
    read_16(piece, count, to, EDEN_BF16);
}

static const struct {
    const char *dtype;
    size_t bytes;
    reading read;
} kinds[] = {
    { "F32", 4, read_f32 }, { "BF16", 2, read_bf16 }, { "F16", 2, read_f16 }, { "F64", 8, read_f64 },
    { "U8", 1, read_u8 },   { "I8", 1, read_i8 },     { "U16", 2, read_u16 }, { "I16", 2, read_i16 },
    { "U32", 4, read_u32 }, { "I32", 4, read_i32 },   { "U64", 8, read_u64 }, { "I64", 8, read_i64 },
    { "BOOL", 1, read_u8 },
};

typedef struct {
    cli_inspected_tensor *tensor;
    size_t kind;
} measuring;

static void add(cli_inspected_tensor *t, double x)
{
    if (isnan(x)) {
        t->nans++;
    } else if (isinf(x)) {
        t->infinities++;
    } else {
        if (!t->numbers || x < t->least) t->least = x;
        if (!t->numbers || x > t->most) t->most = x;
        t->numbers = 1;
    }
}

/* Pieces are whole elements, since all but the last have 64 KiB. */
static void see(void *context, const void *piece, size_t bytes)
{
    const measuring *m = context;
    const size_t size = kinds[m->kind].bytes;
    double block[BLOCK];
    for (size_t at = 0; at < bytes / size; at += BLOCK) {
        const size_t n = bytes / size - at < BLOCK ? bytes / size - at : BLOCK;
        kinds[m->kind].read((const unsigned char *)piece + at * size, n, block);
        for (size_t i = 0; i < n; i++) add(m->tensor, block[i]);
    }
}

eden_status cli_measure(eden_file *file, size_t i, const char *dtype, cli_inspected_tensor *tensor,
                        eden_error *error)
{
    measuring m = { tensor, 0 };
    const size_t count = sizeof kinds / sizeof *kinds;
    while (m.kind < count && strcmp(kinds[m.kind].dtype, dtype) != 0) m.kind++;
    tensor->measured = m.kind < count;
    return eden_file_visit(file, i, tensor->measured ? see : NULL, &m, error);
}
