/* rule.h - the vocabulary a rule file is written in.
 *
 * A rule file defines
 *
 *     RULE                               its name, a bare word
 *     RULE_TITLE, RULE_PAPER, RULE_YEAR  two strings and a number for people
 *     RULE_FORMULA                       the update as text
 *     RULE_HYPERS(REAL, FLAG, CHOICE)    its hyperparameters
 *     RULE_SLOTS(STATE, SQUARE, SCRATCH, SUM)
 *                                        what it remembers (a SQUARE is never
 *                                        negative) and what it adds up
 *     RULE_NEEDS(NEED)                   settings that do nothing without another
 *     RULE_REFUSES(REFUSE)               settings that exclude each other
 *     RULE_PRESETS(PRESET)               other names, with other defaults
 *     RULE_PEERS(PEER, CLASS)            how other libraries spell it; a CLASS also
 *                                        names its arguments and state, for bindings
 *
 * includes "engine/rule_begin.h" (which turns the lists into the types `hypers`
 * and `elem`), writes plain C functions, lists them in
 *
 *     RULE_PASSES(PASS)
 *         PASS(program, function, domain, when, slots read, slots written)
 *
 * and includes "engine/rule_end.h". A condition `when`, of a slot or a pass, is
 * an expression in h (the hypers) and x (the extent); what is off costs nothing.
 * The program is STEP, or BEFORE and BACK for a rule with a look-ahead point.
 *
 * The file is compiled once for each instruction set with -DEDEN_ISA=<name>; the
 * build marked EDEN_DESCRIBE also emits the descriptor from which the driver, the
 * command, the bindings and the documents follow.
 *
 * A pass maps one element to one element. It may add, subtract, multiply, divide,
 * take square roots, compare and select: what IEEE 754 rounds the same way
 * everywhere. Powers and logarithms belong in prepare(), which runs once for each
 * step, in double, through the functions below and never libm's, whose last bit
 * differs between systems.
 */
#ifndef EDEN_RULE_H
#define EDEN_RULE_H

#include <eden/core.h>

#include <float.h>
#if FLT_EVAL_METHOD != 0
#error "float arithmetic must be done in float: on 32-bit x86 use -msse2 -mfpmath=sse"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math changes the bits, and the caller's floating-point environment"
#endif

/* The two numbers of this library. A block is the granule of staging, of
 * quantization scales and of prefetching; a chunk is what one thread takes at a
 * time and how often sums are folded, so changing it changes the bits of norms. */
#define EDEN_BLOCK 256
#define EDEN_CHUNK (64 * EDEN_BLOCK)

#define EDEN_LANES 32      /* partial sums in which a sum is kept, see kernel.h */
#define EDEN_PANELS 64     /* at most so many groups of rows in a factored tensor */
#define EDEN_MAX_SLOTS 16
#define EDEN_MAX_HYPERS 32
#define EDEN_MAX_CONSTS 128 /* bytes */

#define EDEN_INLINE static inline __attribute__((always_inline, unused))
#define EDEN_OUTLINE __attribute__((noinline))

#define EDEN_PASTE_(a, b, c) a##_##b##_##c
#define EDEN_PASTE(a, b, c) EDEN_PASTE_(a, b, c)
#define EDEN_QUOTE_(a) #a
#define EDEN_QUOTE(a) EDEN_QUOTE_(a)

/* Instruction sets in this library, weakest first. The build says which. */
#ifdef EDEN_HAVE_avx2
#define EDEN_AVX2_(X) X(avx2)
#else
#define EDEN_AVX2_(X)
#endif
#ifdef EDEN_HAVE_avx512
#define EDEN_AVX512_(X) X(avx512)
#else
#define EDEN_AVX512_(X)
#endif
#define EDEN_ISAS(X) X(base) EDEN_AVX2_(X) EDEN_AVX512_(X)

enum {
#define X(isa) EDEN_ISA_##isa,
    EDEN_ISAS(X)
#undef X
    EDEN_ISA_COUNT
};

typedef float real; /* what passes compute in */

/* Every gradient a pass loads is clamp(g * pre, -limit, limit) * post. All three
 * at their neutral values (1, infinity, 1) change no bit. */
typedef struct {
    real pre, limit, post;
} eden_grad_scale;

/* What kernels load and store without staging: floats, or a gradient in bf16, or
 * that and every FULL state slot in bf16, or those and the weights, rounded to nearest. */
typedef enum { ALL_F32, GRAD_16, GRAD_STATE_16, ALL_16 } eden_types;

/* One pass over rows x cols elements of one matrix. at[s] is where slot s begins for the
 * first of them; a SUM of shape ONE, EACH or ROW receives its total there. */
typedef void eden_kernel(const void *consts, const eden_grad_scale *grad, eden_types types,
                         void *const *at, size_t rows, size_t cols);

/* One pass over matrices of few elements, one element after the other, all in floats. at[s]
 * is where slot s begins for the first matrix; sums are added to what is there. */
typedef void eden_small_kernel(const void *consts, const eden_grad_scale *grad, void *const *at,
                               size_t matrices, size_t rows, size_t cols);
#define EDEN_SMALL 64 /* elements of a matrix that is run so at most */

typedef enum { EDEN_STEP, EDEN_BEFORE, EDEN_BACK } eden_program;

typedef struct {
    const char *name, *when;
    uint32_t program, domain;  /* eden_program, eden_shape                     */
    uint32_t reads, writes;    /* bit s stands for slot s                      */
} eden_pass;

/* A setting with a condition that must hold for it, or that refuses it. */
typedef struct {
    size_t hyper;
    const char *why;
} eden_condition;

struct eden_rule {
    const char *name, *title, *paper, *formula;
    uint32_t year;
    const eden_hyper *hypers;       size_t hyper_count;
    const eden_slot *slots;         size_t slot_count;
    const eden_pass *passes;        size_t pass_count;
    const eden_preset *presets;     size_t preset_count;
    const eden_peer *peers;         size_t peer_count;
    const eden_condition *needs;    size_t need_count;
    const eden_condition *refusals; size_t refusal_count;
    /* Bit i: slot i, pass i exists; need i is unmet, refusal i applies. */
    uint32_t (*slots_on)(const double *hypers, eden_extent x);
    uint32_t (*passes_on)(const double *hypers, eden_extent x);
    uint32_t (*needs_unmet)(const double *hypers);
    uint32_t (*refused)(const double *hypers);
    void (*prepare)(void *consts, const double *hypers, uint64_t t, eden_extent x);
    eden_kernel *const *kernels[EDEN_ISA_COUNT];     /* [isa][pass] */
    eden_small_kernel *const *small[EDEN_ISA_COUNT]; /* of a rule with factors */
};

/* ---- arithmetic for passes ----------------------------------------------- */

EDEN_INLINE real root(real x) { return __builtin_sqrtf(x); }
EDEN_INLINE real least(real a, real b) { return a < b ? a : b; }
EDEN_INLINE real greatest(real a, real b) { return a > b ? a : b; }
EDEN_INLINE real sign(real x) { return (real)(x > 0) - (real)(x < 0); }

/* Where a sum of squares stops, instead of at infinity, from which no way leads back:
 * the largest number of bf16, as which it may be stored. least(LARGEST_SQUARE, x) keeps
 * a NaN. */
#define LARGEST_SQUARE 0x1.fep127f

/* a / b, and 0 where b is 0: no gradient has arrived there yet. */
EDEN_INLINE real over(real a, real b) { return b == 0 ? 0 : a / b; }

/* ---- arithmetic for prepare(), the same everywhere ------------------------ */

EDEN_INLINE double root2(double x) { return __builtin_sqrt(x); }

/* base^n by squaring. */
EDEN_INLINE double power(double base, uint64_t n)
{
    double result = 1;
    for (; n; n >>= 1, base *= base)
        if (n & 1) result *= base;
    return result;
}

/* Natural logarithm of a positive, normal x: x = 2^n * m with m near 1, then
 * log(m) = 2 atanh((m - 1) / (m + 1)). A few units in the last place. */
EDEN_INLINE double natural_log(double x)
{
    union { double d; uint64_t u; } b;
    b.d = x;
    double n = (double)((int64_t)(b.u >> 52) - 1023), sum = 0;
    b.u = (b.u & 0xfffffffffffffu) | 0x3ff0000000000000u;
    if (b.d > 1.4142135623730951) b.d *= 0.5, n += 1;
    const double s = (b.d - 1) / (b.d + 1), s2 = s * s;
    for (int k = 23; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
    return n * 0.69314718055994531 + 2 * s * sum;
}

/* e^x for |x| < 700: x = n log 2 + r, then the series for e^r. */
EDEN_INLINE double exponential(double x)
{
    union { double d; uint64_t u; } b;
    const double n = (double)(int64_t)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    const double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double sum = 1;
    for (int k = 15; k >= 1; k--) sum = 1 + sum * r / k;
    b.u = (uint64_t)((int64_t)n + 1023) << 52;
    return sum * b.d;
}

#endif
