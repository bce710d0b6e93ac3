/* bits.h - inputs that are the same everywhere, and hashes of outputs. */
#ifndef EDEN_TESTS_BITS_H
#define EDEN_TESTS_BITS_H

#include <stdint.h>
#include <string.h>

/* ---- inputs ------------------------------------------------------------- */

/* splitmix64. */
static inline uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static inline float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Mostly numbers of ordinary size, a few zeros of both signs, denormals, and
 * values whose squares are barely floats. All from bits: no rounding is asked. */
static inline float number(uint64_t r)
{
    const uint32_t sign = (uint32_t)(r & 1) << 31, mantissa = (uint32_t)(r >> 8) & 0x7fffff;
    const unsigned kind = (unsigned)(r >> 1) & 63;
    if (kind < 3) return from_bits(sign);
    if (kind == 3) return from_bits(sign | mantissa);
    if (kind == 4) return from_bits(sign | 0x5f0ac723);
    return from_bits(sign | (uint32_t)(127 - 9 + (r >> 40 & 7)) << 23 | mantissa);
}

static inline void fill(float *values, uint64_t n, uint64_t seed)
{
    for (uint64_t i = 0; i < n; i++) values[i] = number(mix(mix(seed) + i));
}

/* ---- hashes ------------------------------------------------------------- */

static inline uint64_t fnv(uint64_t hash, uint64_t word, int bytes)
{
    for (int b = 0; b < bytes; b++)
        hash = (hash ^ (word >> 8 * b & 255)) * UINT64_C(0x100000001b3);
    return hash;
}

static const uint64_t fnv_start = UINT64_C(0xcbf29ce484222325);

/* Bytes in little-endian order; all NaN alike. */
static inline uint64_t fnv_floats(uint64_t hash, const float *x, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits = to_bits(x[i]);
        if ((bits & 0x7fffffff) > 0x7f800000) bits = 0x7fc00000;
        hash = fnv(hash, bits, 4);
    }
    return hash;
}

#endif
