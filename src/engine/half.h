/* half.h - many f16 to floats and back, by the processor's own instructions where the
 * build says how many a register holds (EDEN_HALVES). They round as number.h does. */
#ifndef EDEN_HALF_H
#define EDEN_HALF_H

#include "engine/number.h"

#ifdef EDEN_HALVES

typedef uint16_t halves __attribute__((vector_size(2 * EDEN_HALVES)));
typedef real half_reals __attribute__((vector_size(4 * EDEN_HALVES)));

/* The same anywhere in an array of numbers. */
typedef halves halves_in __attribute__((aligned(2), may_alias));
typedef half_reals half_reals_in __attribute__((aligned(4), may_alias));

EDEN_INLINE half_reals from_halves(halves h)
{
    half_reals f;
    __asm__("vcvtph2ps %1, %0" : "=v"(f) : "v"(h));
    return f;
}

/* Bytes to 16 bits each, the highest repeated in those above. */
EDEN_INLINE halves widen_bytes(const uint8_t *at)
{
    typedef uint8_t bytes __attribute__((vector_size(EDEN_HALVES), aligned(1), may_alias));
    halves h;
    __asm__("vpmovsxbw %1, %0" : "=v"(h) : "m"(*(const bytes *)at));
    return h;
}

EDEN_INLINE halves to_halves(half_reals f)
{
    halves h;
    __asm__("vcvtps2ph $0, %1, %0" : "=v"(h) : "v"(f));
    return h;
}

#endif

EDEN_INLINE void load_halves(const uint16_t *restrict from, real *restrict to, size_t n)
{
    size_t i = 0;
#ifdef EDEN_HALVES
    for (; i + EDEN_HALVES <= n; i += EDEN_HALVES)
        *(half_reals_in *)(to + i) = from_halves(*(const halves_in *)(from + i));
#endif
    for (; i < n; i++) to[i] = from_f16(from[i]);
}

EDEN_INLINE void store_halves(const real *restrict from, uint16_t *restrict to, size_t n)
{
    size_t i = 0;
#ifdef EDEN_HALVES
    for (; i + EDEN_HALVES <= n; i += EDEN_HALVES)
        *(halves_in *)(to + i) = to_halves(*(const half_reals_in *)(from + i));
#endif
    for (; i < n; i++) to[i] = to_f16(from[i]);
}

#endif
