/* number.h - one number, stored in 16 bits, to a float and back.
 *
 * Rounds to nearest, ties to even; keeps infinities, denormals and -0, and quiets
 * NaN. Choices instead of branches, so that loops over these become vectors. */
#ifndef EDEN_NUMBER_H
#define EDEN_NUMBER_H

#include "engine/rule.h"

typedef union {
    real f;
    uint32_t u;
} real_bits;

EDEN_INLINE uint32_t bits_of(real f)
{
    real_bits b;
    b.f = f;
    return b.u;
}

EDEN_INLINE real real_of(uint32_t u)
{
    real_bits b;
    b.u = u;
    return b.f;
}

EDEN_INLINE uint32_t pick(int condition, uint32_t a, uint32_t b) { return condition ? a : b; }

/* The upper bits of u >= 0, rounded to nearest, ties to even. */
EDEN_INLINE uint32_t shift_nearest(uint32_t u, unsigned by)
{
    return (u + ((1u << (by - 1)) - 1) + ((u >> by) & 1)) >> by;
}

EDEN_INLINE real from_bf16(uint16_t h) { return real_of((uint32_t)h << 16); }

/* A NaN is cut and not rounded, which could carry it away. It stays one if it has
 * been through arithmetic, which sets its highest bit. */
EDEN_INLINE uint16_t to_bf16(real f)
{
    const uint32_t u = bits_of(f), up = 0x7fffu + (u >> 16 & 1);
    return (uint16_t)((u + pick(f == f, up, 0)) >> 16);
}

EDEN_INLINE real from_f16(uint16_t h)
{
    const uint32_t a = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t small = bits_of((real)(int32_t)a * 0x1p-24f);
    const uint32_t normal = (a << 13) + 0x38000000u, special = a << 13 | 0x7f800000u;
    return real_of(sign | pick(a < 0x400u, small, pick(a < 0x7c00u, normal, special)));
}

/* Below 2^-14 the quantum is 2^-24: the unit in the last place of 0.5. */
EDEN_INLINE uint16_t to_f16(real f)
{
    const uint32_t u = bits_of(f), a = u & 0x7fffffffu;
    const uint32_t small = bits_of(real_of(a) + 0.5f) - bits_of(0.5f);
    const uint32_t normal = shift_nearest(a, 13) - (112u << 10);
    const uint32_t special = pick(a > 0x7f800000u, 0x7e00u | (a >> 13 & 0x3ffu), 0x7c00u);
    return (uint16_t)((u >> 16 & 0x8000u) |
                      pick(a < 0x38800000u, small, pick(a < 0x47800000u, normal, special)));
}

#endif
