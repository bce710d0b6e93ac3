/* fpu.h - the caller's floating-point environment, to be disturbed and compared. */
#ifndef EDEN_TESTS_FPU_H
#define EDEN_TESTS_FPU_H

#include <fenv.h>
#include <stdint.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

/* Everything a called function could leave changed: modes and exception flags. On
 * x86-64 that is MXCSR, above it the control word of the x87 unit, above that its
 * exception flags. */
static inline uint64_t fpu_get(void)
{
#if defined(__x86_64__)
    uint16_t control, status;
    __asm__ volatile("fnstcw %0" : "=m"(control) : : "memory");
    __asm__ volatile("fnstsw %0" : "=m"(status) : : "memory");
    return _mm_getcsr() | (uint64_t)control << 32 | (uint64_t)(status & 0x3fu) << 48;
#elif defined(__aarch64__)
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control) : : "memory");
    __asm__ volatile("mrs %0, fpsr" : "=r"(status) : : "memory");
    return control << 32 | (status & 0xffffffffu);
#else
    return (uint64_t)fegetround() << 32 | (uint64_t)fetestexcept(FE_ALL_EXCEPT);
#endif
}

/* Flags of the x87 unit are cleared, whatever `state` says of them. */
static inline void fpu_set(uint64_t state)
{
#if defined(__x86_64__)
    const uint16_t control = (uint16_t)(state >> 32);
    __asm__ volatile("fnclex" : : : "memory");
    __asm__ volatile("fldcw %0" : : "m"(control) : "memory");
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
    return 0x1f80u | 0x8040u | (down ? 0x2000u : 0x4000u) | 0x0004u |
           (uint64_t)(down ? 0x067fu : 0x0a7fu) << 32;
#elif defined(__aarch64__)
    return (uint64_t)(1u << 24 | (down ? 2u << 22 : 1u << 22)) << 32 | 0x0002u;
#else
    return (uint64_t)(down ? FE_DOWNWARD : FE_UPWARD) << 32 | FE_DIVBYZERO;
#endif
}

/* The environments a caller may be in, the ordinary one first. */
typedef struct {
    const char *name;
    uint64_t state;
} fpu_mode;

static const fpu_mode fpu_modes[] = {
#if defined(__x86_64__)
    { "ordinary", 0x037f00001f80 },
    { "upwards", 0x0b7f00005f80 },
    { "downwards", 0x077f00003f80 },
    { "towards zero", 0x0f7f00007f80 },
    { "denormals flushed", 0x037f00009fc0 },
    { "all exceptions noted", 0x037f00001fbf },
    { "x87 in single precision", 0x007f00001f80 },
    { "invalid trapped in x87 alone", 0x037e00001f80 },
    { "invalid, division by zero and overflow trapped", 0x037200001900 },
    { "all exceptions trapped", 0x034000000000 },
    { "all trapped, flushed, upwards", 0x0b400000c040 },
#elif defined(__aarch64__)
    { "ordinary", 0 },
    { "upwards", (uint64_t)1 << 54 },
    { "downwards", (uint64_t)2 << 54 },
    { "towards zero", (uint64_t)3 << 54 },
    { "denormals flushed", (uint64_t)1 << 56 },
    { "all exceptions noted", 0x9f },
#else
    { "ordinary", (uint64_t)FE_TONEAREST << 32 },
#endif
};
enum { FPU_MODES = sizeof fpu_modes / sizeof *fpu_modes };

#endif
