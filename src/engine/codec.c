/* codec.c - see codec.h; compiled once for each instruction set. */
#include "engine/codec.h"

#include "engine/half.h"

/* ---- 32 and 16 bits ---------------------------------------------------------------- */

static void load_f32(const void *from, const float *scale, real *to, size_t n)
{
    const real *x = from;
    (void)scale;
    for (size_t i = 0; i < n; i++) to[i] = x[i];
}

static void store_f32(const real *from, void *to, float *scale, size_t n)
{
    real *x = to;
    (void)scale;
    for (size_t i = 0; i < n; i++) x[i] = from[i];
}

static void load_bf16(const void *from, const float *scale, real *restrict to, size_t n)
{
    const uint16_t *restrict x = from;
    (void)scale;
    for (size_t i = 0; i < n; i++) to[i] = from_bf16(x[i]);
}

static void store_bf16(const real *restrict from, void *to, float *scale, size_t n)
{
    uint16_t *restrict x = to;
    (void)scale;
    for (size_t i = 0; i < n; i++)
        x[i] = (uint16_t)(to_bf16(from[i]) | pick(from[i] == from[i], 0, 0x40u));
}

static void load_f16(const void *from, const float *scale, real *to, size_t n)
{
    (void)scale;
    load_halves(from, to, n);
}

static void store_f16(const real *from, void *to, float *scale, size_t n)
{
    (void)scale;
    store_halves(from, to, n);
}

/* ---- 8 bits ------------------------------------------------------------------------ */

/* An 8-bit code is the top of a float's bits: `bias` is what its exponent lacks, and
 * below exponent 1 the quantum is fixed. It is the top of an f16's bits, too: of that
 * of a square, and of 2^-8 times that of a signed number. */
#define SIGNED_BIAS 120u
#define SIGNED_QUANTUM 0x1p-10f
#define SIGNED_OVER_F16 0x1p8f
#define SQUARE_BIAS 112u
#define SQUARE_QUANTUM 0x1p-18f

/* A loop over a whole block is a function of its own, whose length the compiler
 * knows, and with real parameters, because that is where gcc 12 honours `restrict`. */
#define WHOLE_BLOCK(loop, source, target)                                                  \
    static EDEN_OUTLINE void loop##_block(const source *restrict from, target *restrict to, real s) \
    {                                                                                      \
        loop(from, to, s, EDEN_BLOCK);                                                     \
    }
#define EACH_BLOCK(loop, from, to, scale)                                                  \
    do {                                                                                   \
        size_t at_ = 0;                                                                    \
        for (; n - at_ >= EDEN_BLOCK; at_ += EDEN_BLOCK)                                   \
            loop##_block((from) + at_, (to) + at_, (scale)[at_ / EDEN_BLOCK]);             \
        if (at_ < n) loop((from) + at_, (to) + at_, (scale)[at_ / EDEN_BLOCK], n - at_);   \
    } while (0)

/* How many codes from the first are decoded together, as f16. Where the scale times
 * the difference between the two could be infinite, none. */
#ifdef EDEN_HALVES
#define TOGETHER(n, s) ((s) < 0x1p100f ? (n) / EDEN_HALVES * EDEN_HALVES : 0)

EDEN_INLINE void decode_together(const uint8_t *restrict x, real *restrict to, real s, uint16_t keep,
                                 size_t n)
{
    for (size_t i = 0; i < n; i += EDEN_HALVES)
        *(half_reals_in *)(to + i) = from_halves(widen_bytes(x + i) << 6 & keep) * s;
}
#else
#define TOGETHER(n, s) (size_t)0
#define decode_together(x, to, s, keep, n) (void)(s)
#endif

EDEN_INLINE real from_small(uint32_t code, uint32_t bias, real quantum)
{
    return real_of(pick(code < 16, bits_of((real)(int32_t)code * quantum), (code << 19) + (bias << 23)));
}

/* Widened with its sign, a signed code has it in the highest bit already. */
EDEN_INLINE void decode_signed(const uint8_t *restrict x, real *restrict to, real s, size_t n)
{
    const size_t together = TOGETHER(n, s);
    decode_together(x, to, s * SIGNED_OVER_F16, 0x9fc0, together);
    for (size_t i = together; i < n; i++) {
        const real magnitude = from_small(x[i] & 0x7fu, SIGNED_BIAS, SIGNED_QUANTUM) * s;
        to[i] = real_of(bits_of(magnitude) | (uint32_t)(x[i] & 0x80u) << 24);
    }
}
WHOLE_BLOCK(decode_signed, uint8_t, real)

EDEN_INLINE void decode_square(const uint8_t *restrict x, real *restrict to, real s, size_t n)
{
    const size_t together = TOGETHER(n, s);
    decode_together(x, to, s, 0x3fc0, together);
    for (size_t i = together; i < n; i++)
        to[i] = from_small(x[i], SQUARE_BIAS, SQUARE_QUANTUM) * s;
}
WHOLE_BLOCK(decode_square, uint8_t, real)

static void load_signed(const void *from, const float *scale, real *to, size_t n)
{
    const uint8_t *x = from;
    EACH_BLOCK(decode_signed, x, to, scale);
}

static void load_square(const void *from, const float *scale, real *to, size_t n)
{
    const uint8_t *x = from;
    EACH_BLOCK(decode_square, x, to, scale);
}

/* The scale of a block. That of one with a NaN or an infinity is such, so that
 * nothing bad is hidden. */
EDEN_INLINE void measure(const real *from, float *scale, size_t n)
{
    int32_t top = 0x00800000; /* the least normal number: its reciprocal is finite */
    for (size_t i = 0; i < n; i++) {
        const int32_t a = (int32_t)(bits_of(from[i]) & 0x7fffffffu);
        top = a > top ? a : top;
    }
    const real s = real_of((uint32_t)top) * (real)(16.0 / 31);
    *scale = s < 0x1p-126f ? 0x1p-126f : s; /* a NaN stays */
}

/* All scales before the first code: their chains of operations are long, and so run
 * side by side. */
EDEN_INLINE void measure_all(const real *from, float *scale, size_t n)
{
    size_t i = 0;
    for (; n - i >= EDEN_BLOCK; i += EDEN_BLOCK) measure(from + i, scale++, EDEN_BLOCK);
    if (i < n) measure(from + i, scale, n - i);
}

/* The code of a magnitude up to 31/16, in the lowest 8 bits of the result. Adding a
 * power of 2 whose unit in the last place is the code's quantum rounds to nearest,
 * ties to even; its own lowest bits hold what the exponent counts. */
EDEN_INLINE uint32_t to_small(uint32_t magnitude, uint32_t bias)
{
    const int32_t exponent = (int32_t)(magnitude & 0x7f800000u), least = (int32_t)((bias + 1) << 23);
    const uint32_t e = (uint32_t)(exponent > least ? exponent : least);
    return bits_of(real_of(magnitude) + real_of(e + (e >> 19) + ((19u << 23) - ((bias + 1) << 4))));
}

/* A block whose scale is infinite or NaN: what is finite is next to nothing. */
static EDEN_OUTLINE void encode_spoilt(const real *from, uint8_t *x, int square, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(from[i]), sign = square ? 0 : u >> 24 & 0x80u;
        x[i] = (uint8_t)(sign | pick((u & 0x7fffffffu) < 0x7f800000u, square && from[i] > 0, 0x7fu));
    }
}

EDEN_INLINE void encode_signed(const real *restrict from, uint8_t *restrict x, real s, size_t n)
{
    const real factor = 1 / s;
    if (s - s != 0) {
        encode_spoilt(from, x, 0, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(from[i] * factor);
        x[i] = (uint8_t)((to_small(u & 0x7fffffffu, SIGNED_BIAS) << 24 | (u & 0x80000000u)) >> 24);
    }
}
WHOLE_BLOCK(encode_signed, real, uint8_t)

/* What is above 0 never becomes 0: a root in a divisor would be. */
EDEN_INLINE void encode_square(const real *restrict from, uint8_t *restrict x, real s, size_t n)
{
    const real factor = 1 / s;
    const int32_t least = (int32_t)bits_of(SQUARE_QUANTUM);
    if (s - s != 0) {
        encode_spoilt(from, x, 1, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const int32_t u = (int32_t)(bits_of(from[i] * factor) & 0x7fffffffu);
        const uint32_t code = to_small((uint32_t)(u > least ? u : least), SQUARE_BIAS);
        x[i] = (uint8_t)pick(from[i] != 0, code, 0);
    }
}
WHOLE_BLOCK(encode_square, real, uint8_t)

static void store_signed(const real *from, void *to, float *scale, size_t n)
{
    uint8_t *x = to;
    measure_all(from, scale, n);
    EACH_BLOCK(encode_signed, from, x, scale);
}

static void store_square(const real *from, void *to, float *scale, size_t n)
{
    uint8_t *x = to;
    measure_all(from, scale, n);
    EACH_BLOCK(encode_square, from, x, scale);
}

/* ---- weights ----------------------------------------------------------------------- */

static void load_split(const uint16_t *restrict high, const uint16_t *restrict low,
                       real *restrict to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = real_of(((uint32_t)high[i] << 16) + (uint32_t)(int16_t)low[i]);
}

/* The lost bits count from -2^15 to 2^15 - 1, so a tie rounds up. */
static void store_split(const real *restrict from, uint16_t *restrict high, uint16_t *restrict low,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(from[i]);
        high[i] = (uint16_t)(pick(from[i] == from[i], u + 0x8000u, u | 0x400000u) >> 16);
        low[i] = (uint16_t)pick(from[i] == from[i], u, 0);
    }
}

/* 32 bits that look random, from a key and an index: two rounds of multiply and
 * fold, which vectors can do. */
EDEN_INLINE uint32_t noise(uint32_t key, uint32_t i)
{
    uint32_t x = i ^ key;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Never to infinity, which stays what it is; NaN is quieted. */
EDEN_INLINE uint16_t chance_bf16(real f, uint32_t random)
{
    const uint32_t u = bits_of(f), up = u + (random & 0xffffu);
    const uint32_t finite = pick((up & 0x7fffffffu) < 0x7f800000u, up, u);
    return (uint16_t)(pick(f == f, finite, u | 0x400000u) >> 16);
}

/* pick(), where gcc 12 would make a branch of it. */
EDEN_INLINE uint32_t blend(int condition, uint32_t a, uint32_t b)
{
    const uint32_t mask = 0u - (uint32_t)(condition != 0);
    return (a & mask) | (b & ~mask);
}

/* In units of the quantum, which is fixed below 2^-14, a number is whole plus a
 * part; the part is the chance to go up. */
EDEN_INLINE uint16_t chance_f16(real f, uint32_t random)
{
    const uint32_t u = bits_of(f), a = u & 0x7fffffffu;
    const uint32_t up = (a + (random & 0x1fffu)) >> 13;
    const int32_t least = (int32_t)a < 0x38800000 ? (int32_t)a : 0x38800000;
    const real units = real_of((uint32_t)least) * 0x1p24f;
    const int32_t whole = (int32_t)units;
    const real chance = (real)(int32_t)(random & 0xffffu) * 0x1p-16f;
    const uint32_t small = (uint32_t)whole + (uint32_t)(chance < units - (real)whole);
    const uint32_t normal = up - (112u << 10);
    const uint32_t rounded = pick(a < 0x47800000u, shift_nearest(a, 13) - (112u << 10), 0x7c00u);
    const uint32_t special = pick(a > 0x7f800000u, 0x7e00u | (a >> 13 & 0x3ffu), rounded);
    return (uint16_t)((u >> 16 & 0x8000u) |
                      blend(a < 0x38800000u, small, blend(a < 0x477fe000u, normal, special)));
}

static void store_stochastic(unsigned codec, const real *restrict from, uint16_t *restrict to,
                             uint64_t key, uint64_t first, size_t n)
{
    const uint32_t k = (uint32_t)mixed(key ^ mixed(first >> 32)), at = (uint32_t)first;
    if (codec == EDEN_CODEC_BF16)
        for (size_t i = 0; i < n; i++) to[i] = chance_bf16(from[i], noise(k, at + (uint32_t)i));
    else
        for (size_t i = 0; i < n; i++) to[i] = chance_f16(from[i], noise(k, at + (uint32_t)i));
}

#define KAHAN_(load, store)                                          \
    for (size_t i = 0; i < n; i++) {                                 \
        const real old = load(to[i]), change = from[i] - old + load(lost[i]); \
        to[i] = store(old + change);                                 \
        lost[i] = store(change - (load(to[i]) - old));               \
    }

static void store_kahan(unsigned codec, const real *restrict from, uint16_t *restrict to,
                        uint16_t *restrict lost, size_t n)
{
    if (codec == EDEN_CODEC_BF16) {
        KAHAN_(from_bf16, to_bf16)
    } else {
        KAHAN_(from_f16, to_f16)
    }
}

static void join_average(const real *restrict from, real *restrict average, real gain, size_t n)
{
    for (size_t i = 0; i < n; i++) average[i] += gain * (from[i] - average[i]);
}

/* ---- tables --------------------------------------------------------------------------- */

#define TABLE_(isa) eden_codecs_##isa
#define TABLE(isa) TABLE_(isa)
#define WEIGHTS_(isa) eden_weights_codecs_##isa
#define WEIGHTS(isa) WEIGHTS_(isa)

#define X(isa)                                   \
    extern const eden_codec TABLE(isa)[];        \
    extern const eden_weights_codec WEIGHTS(isa);
EDEN_ISAS(X)
#undef X

const eden_codec TABLE(EDEN_ISA)[EDEN_CODEC_COUNT] = {
    [EDEN_CODEC_F32] = { load_f32, store_f32 },
    [EDEN_CODEC_BF16] = { load_bf16, store_bf16 },
    [EDEN_CODEC_F16] = { load_f16, store_f16 },
    [EDEN_CODEC_SIGNED] = { load_signed, store_signed },
    [EDEN_CODEC_SQUARE] = { load_square, store_square },
};
const eden_weights_codec WEIGHTS(EDEN_ISA) = { load_split, store_split, store_stochastic,
                                               store_kahan, join_average };

#ifdef EDEN_DESCRIBE

const eden_codec *const eden_codecs[EDEN_ISA_COUNT] = {
#define X(isa) TABLE(isa),
    EDEN_ISAS(X)
#undef X
};
const eden_weights_codec *const eden_weights_codecs[EDEN_ISA_COUNT] = {
#define X(isa) &WEIGHTS(isa),
    EDEN_ISAS(X)
#undef X
};

uint64_t eden_codec_bytes(unsigned codec, uint64_t n)
{
    return n * (codec == EDEN_CODEC_F32 ? 4 : codec < EDEN_CODEC_SIGNED ? 2 : 1);
}

#endif
