/* fpu.h - the caller's floating-point environment, to be disturbed and compared. */
#ifndef EDEN_TESTS_FPU_H
#define EDEN_TESTS_FPU_H

#include <fenv.h>
#include <stdint.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

/* Everything a called function could leave changed: modes and exception flags. */
static inline uint64_t fpu_get(void)
{
#if defined(__x86_64__)
    return _mm_getcsr();
#elif defined(__aarch64__)
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control) : : "memory");
    __asm__ volatile("mrs %0, fpsr" : "=r"(status) : : "memory");
    return control << 32 | (status & 0xffffffffu);
#else
    return (uint64_t)fegetround() << 32 | (uint64_t)fetestexcept(FE_ALL_EXCEPT);
#endif
}

static inline void fpu_set(uint64_t state)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)state);
#elif defined(__aarch64__)
    const uint64_t control = state >> 32, status = state & 0xffffffffu;
    __asm__ volatile("msr fpcr, %0" : : "r"(control) : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(status) : "memory");
#else
    fesetround((int)(state >> 32));
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept((int)(uint32_t)state);
#endif
}

/* Denormals flushed to zero, rounding upwards or downwards, one exception noted. */
static inline uint64_t fpu_disturbed(int down)
{
#if defined(__x86_64__)
    return 0x1f80u | 0x8040u | (down ? 0x2000u : 0x4000u) | 0x0004u;
#elif defined(__aarch64__)
    return (uint64_t)(1u << 24 | (down ? 2u << 22 : 1u << 22)) << 32 | 0x0002u;
#else
    return (uint64_t)(down ? FE_DOWNWARD : FE_UPWARD) << 32 | FE_DIVBYZERO;
#endif
}

#endif
