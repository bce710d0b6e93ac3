/* cpu.c - the one file that knows processors: which instruction sets run here,
 * and the floating-point environment.
 *
 * The compiler's own feature tests keep their answer in a writable global; these
 * ask the processor each time, including whether the system saves the registers. */
#include "engine/driver.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const names[] = {
#define X(isa) #isa,
    EDEN_ISAS(X)
#undef X
};

size_t eden_isa_count(void) { return EDEN_ISA_COUNT; }

const char *eden_isa_name(size_t isa) { return isa < EDEN_ISA_COUNT ? names[isa] : NULL; }

#if defined(__x86_64__)

/* Register sets the operating system saves: XCR0, or 0 without XSAVE. */
static unsigned saved_registers(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has_avx2(void)
{
    unsigned a, b, c, d;
    return (saved_registers() & 0x06) == 0x06 && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

static int has_avx512(void)
{
    const unsigned want = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    unsigned a, b, c, d;
    return (saved_registers() & 0xe6) == 0xe6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & want) == want;
}

#endif

int eden_isa_runs_here(size_t isa)
{
    switch (isa) {
    case EDEN_ISA_base: return 1;
#ifdef EDEN_HAVE_avx2
    case EDEN_ISA_avx2: return has_avx2();
#endif
#ifdef EDEN_HAVE_avx512
    case EDEN_ISA_avx512: return has_avx512();
#endif
    default: return 0;
    }
}

size_t eden_isa_best(void)
{
    size_t isa = EDEN_ISA_COUNT - 1;
    while (isa > 0 && !eden_isa_runs_here(isa)) isa--;
    return isa;
}

/* ---- floating point ------------------------------------------------------------- */

#if defined(__x86_64__)

/* Vectors obey MXCSR; the C library's conversions of text ask the x87 control word. */
void eden_float_enter(eden_float_env *saved)
{
    const unsigned plain = 0x1f80; /* nearest, all exceptions masked, no FTZ or DAZ */
    const unsigned short plain_x87 = 0x037f;
    unsigned before;
    unsigned short before_x87;
    __asm__ volatile("stmxcsr %0" : "=m"(before) : : "memory");
    __asm__ volatile("fnstcw %0" : "=m"(before_x87) : : "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(plain) : "memory");
    if (before_x87 != plain_x87) __asm__ volatile("fldcw %0" : : "m"(plain_x87) : "memory");
    saved->control = before;
    saved->status = before_x87;
}

void eden_float_leave(const eden_float_env *saved)
{
    const unsigned before = (unsigned)saved->control;
    const unsigned short before_x87 = (unsigned short)saved->status;
    __asm__ volatile("ldmxcsr %0" : : "m"(before) : "memory");
    if (before_x87 != 0x037f) __asm__ volatile("fldcw %0" : : "m"(before_x87) : "memory");
}

#elif defined(__aarch64__)

void eden_float_enter(eden_float_env *saved)
{
    const uint64_t plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved->control) : : "memory");
    __asm__ volatile("mrs %0, fpsr" : "=r"(saved->status) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(plain) : "memory");
}

void eden_float_leave(const eden_float_env *saved)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(saved->control) : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(saved->status) : "memory");
}

#else

/* Elsewhere the caller's environment is used as it is. */
void eden_float_enter(eden_float_env *saved) { saved->control = saved->status = 0; }
void eden_float_leave(const eden_float_env *saved) { (void)saved; }

#endif
