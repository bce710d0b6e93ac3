/* bench.h - the time of an optimizer's step beside the time that memory needs. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/settings.h"

/* ---- bench_limit.c ------------------------------------------------------------ */

#define BENCH_STREAMS 8

/* A pass over memory: each stream has `width` bytes an element, is read, and if
 * `writes` written back. */
typedef struct {
    size_t streams;
    size_t width[BENCH_STREAMS];
    int writes[BENCH_STREAMS];
    unsigned char *at[BENCH_STREAMS];
} bench_pass;

#define BENCH_PASSES 8
typedef struct {
    size_t passes;
    bench_pass pass[BENCH_PASSES];
} bench_traffic;

/* Ways to write a loop that moves bytes and does nothing else. */
size_t bench_loop_count(void);
const char *bench_loop_name(size_t loop);

/* Move everything `repeat` times on `threads` threads. 0 if they cannot be had. */
int bench_move(size_t loop, const bench_traffic *traffic, uint64_t count, uint32_t threads,
               uint64_t repeat);

/* ---- bench_run.c ---------------------------------------------------------------- */

typedef struct {
    const cli_settings *settings;
    uint64_t count, tensors; /* elements in all tensors together               */
    uint64_t cols;           /* of each tensor; 0: as square as it gets         */
    uint32_t threads;        /* 0: one a core                                   */
    uint32_t dtype, grad_dtype, state_dtype, rounding;
    int check, zero_grad;    /* refuse bad gradients; zero them in the step     */
    double clip_norm;        /* 0: off                                          */
    double seconds;          /* to measure for                                  */
} bench_case;

/* Times are nanoseconds an element: the median of all rounds, and the middle 80 %. */
typedef struct {
    double step, step_low, step_high;
    double limit, limit_low, limit_high;
    const char *loop;        /* the fastest of the plain loops                  */
    double bytes;            /* an element, read and written                    */
    uint64_t rounds, repeat; /* and how many steps to a round                   */
    uint32_t threads;        /* used                                            */
    double state_bytes;      /* kept for each element                           */
} bench_result;

/* Returns the exit code; the reason has been told. */
int bench_run(const bench_case *c, bench_result *result);

#endif
