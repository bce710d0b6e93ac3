/* bench_limit.c - loops that move bytes and do nothing else: the yardstick. */
#include <pthread.h>
#include <string.h>

#include "cli/bench.h"

/* Elements that a stream advances before the next one does: little, as a fused
 * loop would; or more, so that the hardware sees fewer streams at once. */
enum { NARROW = 64, WIDE = 1024 };

/* The distance that optimizers here ask ahead, in bytes. */
enum { AHEAD = 512 };

#define INLINE static inline __attribute__((always_inline))

INLINE void touch(unsigned char *at, size_t bytes, int writes, int ahead, uint64_t *sum)
{
    uint64_t *x = (uint64_t *)(void *)at, all = 0;
    if (ahead)
        for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i + AHEAD, 0, 2);
    if (writes) {
        for (size_t i = 0; i < bytes / 8; i++) x[i] += 1;
    } else {
        for (size_t i = 0; i < bytes / 8; i++) all += x[i];
        *sum += all;
    }
}

INLINE uint64_t move(const bench_pass *pass, uint64_t begin, uint64_t end, size_t strip, int ahead)
{
    uint64_t sum = 0;
    for (uint64_t at = begin; at < end; at += strip)
        for (size_t s = 0; s < pass->streams; s++)
            touch(pass->at[s] + at * pass->width[s], strip * pass->width[s], pass->writes[s],
                  ahead, &sum);
    return sum;
}

typedef uint64_t loop_function(const bench_pass *pass, uint64_t begin, uint64_t end);

#define LOOPS(X)                                         \
    X(narrow, "64 elements a stream", NARROW, 0)         \
    X(narrow_ahead, "64 elements a stream, asked ahead", NARROW, 1) \
    X(wide, "1024 elements a stream", WIDE, 0)           \
    X(wide_ahead, "1024 elements a stream, asked ahead", WIDE, 1)

#define X(name, text, strip, ahead)                                                        \
    static uint64_t base_##name(const bench_pass *pass, uint64_t begin, uint64_t end)      \
    {                                                                                      \
        return move(pass, begin, end, strip, ahead);                                       \
    }
LOOPS(X)
#undef X

#if defined(__x86_64__)
#define X(name, text, strip, ahead)                                                        \
    __attribute__((target("avx2"))) static uint64_t avx2_##name(                           \
        const bench_pass *pass, uint64_t begin, uint64_t end)                              \
    {                                                                                      \
        return move(pass, begin, end, strip, ahead);                                       \
    }
LOOPS(X)
#undef X
#define VECTOR_LOOP(name) avx2_##name
#else
#define VECTOR_LOOP(name) base_##name
#endif

static const struct {
    const char *name;
    loop_function *base, *vector;
} loops[] = {
#define X(name, text, strip, ahead) { text, base_##name, VECTOR_LOOP(name) },
    LOOPS(X)
#undef X
};

size_t bench_loop_count(void) { return sizeof loops / sizeof *loops; }
const char *bench_loop_name(size_t loop) { return loops[loop].name; }

/* ---- threads ---------------------------------------------------------------------- */

typedef struct {
    loop_function *run;
    const bench_traffic *traffic;
    uint64_t begin, end, repeat, sum;
} part;

static void *run_part(void *argument)
{
    part *p = argument;
    for (uint64_t i = 0; i < p->repeat; i++)
        for (size_t k = 0; k < p->traffic->passes; k++)
            p->sum += p->run(&p->traffic->pass[k], p->begin, p->end);
    return NULL;
}

int bench_move(size_t loop, const bench_traffic *traffic, uint64_t count, uint32_t threads,
               uint64_t repeat)
{
    enum { MOST = 256 };
    part parts[MOST];
    pthread_t thread[MOST];
    const int plain = eden_isa_best() == 0;
    const uint64_t strips = count / WIDE;
    uint32_t started = 0;
    if (threads > MOST) threads = MOST;
    for (uint32_t t = 0; t < threads; t++)
        parts[t] = (part){ plain ? loops[loop].base : loops[loop].vector, traffic,
                           strips * t / threads * WIDE, strips * (t + 1) / threads * WIDE, repeat, 0 };
    while (started + 1 < threads &&
           pthread_create(&thread[started], NULL, run_part, &parts[started + 1]) == 0)
        started++;
    if (started + 1 == threads) run_part(&parts[0]);
    for (uint32_t t = 0; t < started; t++) pthread_join(thread[t], NULL);
    return started + 1 == threads;
}
