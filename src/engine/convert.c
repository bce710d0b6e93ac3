/* convert.c - arrays from one way to store numbers to another. */
#include "engine/codec.h"
#include "engine/driver.h"

static size_t width_of(uint32_t dtype) { return dtype == EDEN_F32 ? sizeof(float) : sizeof(uint16_t); }

/* EDEN_F32, EDEN_BF16 and EDEN_F16 are their codecs' numbers. */
_Static_assert(EDEN_CODEC_F32 == (int)EDEN_F32 && EDEN_CODEC_BF16 == (int)EDEN_BF16 &&
                   EDEN_CODEC_F16 == (int)EDEN_F16, "dtypes and codecs are numbered alike");

static int is_array(const void *at, uint32_t dtype, uint64_t count)
{
    if (dtype > EDEN_F16 || count > SIZE_MAX / sizeof(float)) return 0;
    return count == 0 || (at && (uintptr_t)at % width_of(dtype) == 0);
}

/* In place is fine where each number takes the place of its own. */
static int is_apart(const void *to, uint32_t to_dtype, const void *from, uint32_t from_dtype,
                    uint64_t count)
{
    const uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    if (a == b) return count == 0 || width_of(to_dtype) == width_of(from_dtype);
    return a < b ? b - a >= count * width_of(to_dtype) : a - b >= count * width_of(from_dtype);
}

eden_status eden_convert(void *to, uint32_t to_dtype, const void *from, uint32_t from_dtype,
                         uint64_t count)
{
    _Alignas(64) real block[EDEN_BLOCK];
    eden_float_env saved;
    if (!is_array(to, to_dtype, count) || !is_array(from, from_dtype, count) ||
        !is_apart(to, to_dtype, from, from_dtype, count))
        return EDEN_E_ARGUMENT;
    if (to == from && to_dtype == from_dtype) return EDEN_OK;
    const eden_codec *codec = eden_codecs[eden_isa_best()];
    unsigned char *out = to;
    const unsigned char *in = from;
    eden_float_enter(&saved);
    for (uint64_t i = 0; i < count; i += EDEN_BLOCK) {
        const size_t n = (size_t)(count - i < EDEN_BLOCK ? count - i : EDEN_BLOCK);
        codec[from_dtype].load(in + i * width_of(from_dtype), NULL, block, n);
        codec[to_dtype].store(block, out + i * width_of(to_dtype), NULL, n);
    }
    eden_float_leave(&saved);
    return EDEN_OK;
}
