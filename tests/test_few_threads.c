/* test_few_threads.c - a system that gives fewer threads than were asked for, or none:
 * the steps are the same bit for bit, and it is not asked again. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <eden/eden.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/ok.h"

enum { N = 200000, THREADS = 4 };

static int given, asked;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    asked++;
    if (asked > given) return EAGAIN;
    *(void **)(void *)&create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, attributes, run, argument);
}

static uint64_t steps(uint32_t threads)
{
    static float w[N], g[N];
    eden_optimizer *o = NULL;
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = threads, c.clip_norm = 1;
    fill(w, N, 1);
    for (size_t i = 0; i < N; i++) g[i] = (float)(mix(i) % 7) - 3;
    const eden_tensor t = eden_vector(w, g, N);
    OK(eden_optimizer_create(&o, "adam", &c, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    asked = 0;
    for (int k = 0; k < 3; k++) OK(eden_step(o, error));
    eden_optimizer_destroy(o);
    return fnv_floats(fnv_start, w, N);
}

static void test_few(void **state)
{
    (void)state;
    const uint64_t want = steps(1);
    assert_int_equal(asked, 0);
    for (given = 0; given < THREADS; given++) {
        assert_true(steps(THREADS) == want);
        assert_int_equal(asked, given < THREADS - 1 ? given + 1 : THREADS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_few) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
