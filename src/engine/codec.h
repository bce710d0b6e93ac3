/* codec.h - how numbers are stored: a block at a time to floats and back.
 *
 * Kernels compute in float. Whatever is stored otherwise passes through here, so
 * that n rules and m ways to store make n + m pieces of code. Conversions round
 * to nearest, ties to even, keep infinities, denormals and -0, and quiet NaN. */
#ifndef EDEN_CODEC_H
#define EDEN_CODEC_H

#include "engine/rule.h"

/* An eden_dtype, and for 8-bit state which of its two maps. */
enum {
    EDEN_CODEC_F32,
    EDEN_CODEC_BF16,
    EDEN_CODEC_F16,
    EDEN_CODEC_SIGNED, /* sign, 3 bits of exponent, 4 of mantissa               */
    EDEN_CODEC_SQUARE, /* 4 bits of exponent, 4 of mantissa; never negative      */
    EDEN_CODEC_COUNT
};

/* 8-bit codes share one scale for each EDEN_BLOCK of them, counted from the first
 * here: the largest magnitude over 31/16, so that it is code 127 or 255 and follows
 * the largest value exactly. */
typedef struct {
    void (*load)(const void *from, const float *scale, real *to, size_t n);
    void (*store)(const real *from, void *to, float *scale, size_t n);
} eden_codec;

/* What low-precision weights keep beside them; see eden_rounding. */
typedef struct {
    /* bf16 and the 16 bits its rounding lost: together exactly the float. */
    void (*load_split)(const uint16_t *high, const uint16_t *low, real *to, size_t n);
    void (*store_split)(const real *from, uint16_t *high, uint16_t *low, size_t n);

    /* Rounding up or down by chance, so that the mean is right; the chance is a
     * function of the key and the element's index. `codec` is BF16 or F16. */
    void (*store_stochastic)(unsigned codec, const real *from, uint16_t *to, uint64_t key,
                             uint64_t first, size_t n);

    /* Kahan's: what rounding left of this step and those before, in `lost`, joins
     * the next. */
    void (*store_kahan)(unsigned codec, const real *from, uint16_t *to, uint16_t *lost, size_t n);

    /* average += gain * (from - average) */
    void (*average)(const real *from, real *average, real gain, size_t n);
} eden_weights_codec;

extern const eden_codec *const eden_codecs[EDEN_ISA_COUNT]; /* [isa][codec] */
extern const eden_weights_codec *const eden_weights_codecs[EDEN_ISA_COUNT];

/* Bytes that n values take, their scales not counted. */
uint64_t eden_codec_bytes(unsigned codec, uint64_t n);

#endif
