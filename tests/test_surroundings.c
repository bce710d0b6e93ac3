/* test_surroundings.c - a locale with a decimal comma, a fork between steps, errno,
 * the caller's signals, and no standard streams. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bits.h"
#include "tests/scratch.h"

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

/* Enough that a step is shared among threads. */
enum { N = 200000 };

typedef struct {
    eden_optimizer *o;
    float *w, *g;
} model;

static void begin(model *m, uint32_t threads)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = threads, c.clip_norm = 1;
    m->w = malloc(N * sizeof(float)), m->g = malloc(N * sizeof(float));
    assert_true(m->w && m->g);
    fill(m->w, N, 1);
    for (size_t i = 0; i < N; i++) m->g[i] = (float)(mix(i) % 7) - 3;
    const eden_tensor t = eden_vector(m->w, m->g, N);
    OK(eden_optimizer_create(&m->o, "adam", &c, error));
    OK(eden_add_tensor(m->o, "w", &t, NULL, error));
}

static uint64_t end(model *m)
{
    const uint64_t hash = fnv_floats(fnv_start, m->w, N);
    eden_optimizer_destroy(m->o);
    free(m->w), free(m->g);
    return hash;
}

/* ---- locales -------------------------------------------------------------------------- */

/* Numbers are written and read with a point: in settings, schedules, sentences, files. */
static void with_numbers(const char *name)
{
    double value = 0;
    eden_error e = { 0, "" };
    model m;
    begin(&m, 1);
    OK(eden_set_text(m.o, NULL, "lr=0.25, beta1=1.5e-1", error));
    OK(eden_get(m.o, NULL, "beta1", &value, error));
    assert_true(value == 0.15);
    OK(eden_schedule_value("constant(0.5)", 1, &value, error));
    assert_true(value == 0.5);
    assert_int_equal(eden_set_text(m.o, NULL, "lr=0,25", &e), EDEN_E_VALUE);
    assert_int_equal(eden_set(m.o, NULL, "beta1", 1.25, &e), EDEN_E_VALUE);
    assert_non_null(strstr(e.text, "beta1 = 1.25 "));
    OK(eden_step(m.o, error));
    OK(eden_save(m.o, at(name), 0, error));
    OK(eden_load(m.o, at(name), 0, error));
    end(&m);
}

static void test_decimal_comma(void **state)
{
    char command[400];
    size_t a, b;
    (void)state;
    with_numbers("point");
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", scratch);
    setenv("LOCPATH", scratch, 1);
    const int made = system(command) == 0 && setlocale(LC_ALL, "de_DE.UTF-8");
    if (made) {
        assert_true(strtod("0,5", NULL) == 0.5);
        with_numbers("comma");
        setlocale(LC_ALL, "C");
    }
    snprintf(command, sizeof command, "rm -rf %s/de_DE.UTF-8", scratch);
    assert_int_equal(system(command), 0);
    if (!made) skip();
    unsigned char *x = fetch(at("point"), &a), *y = fetch(at("comma"), &b);
    assert_true(a == b && memcmp(x, y, a) == 0);
    free(x), free(y);
}

/* ---- processes --------------------------------------------------------------------------- */

/* What a child of fork() has reached counts only if it says so: see scripts/coverage. */
void __gcov_dump(void) __attribute__((weak));

/* gcc's address sanitizer is no guide here: a fork while another thread of the parent is
 * in its allocator leaves that locked for ever in the child, whose threads wait for it. */
#ifdef __SANITIZE_ADDRESS__
#define MOST_FORKED 1
#else
#define MOST_FORKED 4
#endif

/* A child has none of its parent's threads, and steps all the same. */
static void test_fork(void **state)
{
    uint64_t want = 0;
    (void)state;
    for (uint32_t threads = 1; threads <= MOST_FORKED; threads += 3) {
        model m;
        int status = -1;
        begin(&m, threads);
        OK(eden_step(m.o, error));
        const pid_t child = fork();
        assert_true(child >= 0);
        for (int k = 0; k < 3; k++)
            if (eden_step(m.o, NULL)) _exit(3);
        if (child == 0) {
            const uint64_t hash = end(&m);
            FILE *out = fopen(at("child"), "wb");
            if (!out || fwrite(&hash, sizeof hash, 1, out) != 1 || fclose(out)) _exit(4);
            if (__gcov_dump) __gcov_dump();
            _exit(0);
        }
        assert_true(waitpid(child, &status, 0) == child);
        assert_int_equal(status, 0);
        const uint64_t hash = end(&m);
        size_t n;
        unsigned char *bytes = fetch(at("child"), &n);
        assert_true(n == sizeof hash && memcmp(bytes, &hash, n) == 0);
        free(bytes);
        if (threads == 1) want = hash;
        assert_true(hash == want);
    }
}

/* errno is the caller's, at least where nothing fails. */
static void test_errno(void **state)
{
    double value = 0;
    model m;
    (void)state;
    errno = EXDEV;
    begin(&m, 1);
    OK(eden_set_text(m.o, NULL, "lr=1e-310", error));
    assert_int_equal(eden_set_text(m.o, NULL, "lr=1e999", NULL), EDEN_E_VALUE);
    OK(eden_schedule(m.o, NULL, "lr", "exponential(0.5)", error));
    OK(eden_get_at(m.o, NULL, "lr", 5, &value, error));
    OK(eden_step(m.o, error));
    assert_int_equal(errno, EXDEV);
    end(&m);
}

/* Threads are started with all signals blocked; the caller's stay as they were. */
static void test_signals(void **state)
{
    sigset_t some, found, after;
    model m;
    (void)state;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_SETMASK, &some, &found), 0);
    begin(&m, 3);
    for (int s = 0; s < 2; s++) OK(eden_step(m.o, error));
    end(&m);
    assert_int_equal(sigprocmask(SIG_SETMASK, &found, &after), 0);
    for (int signal = 1; signal <= 31; signal++)
        assert_int_equal(sigismember(&after, signal), signal == SIGUSR1);
}

/* A program without standard streams: the first file that is opened is number 0. */
static void test_no_streams(void **state)
{
    const int input = dup(0);
    model m;
    (void)state;
    close(0);
    begin(&m, 1);
    OK(eden_step(m.o, error));
    OK(eden_save(m.o, at("a"), 0, error));
    OK(eden_load(m.o, at("a"), 0, error));
    assert_int_equal(close(0), -1); /* no file was left open */
    assert_int_equal(count_files(".eden-tmp"), 0);
    end(&m);
    assert_int_equal(dup2(input, 0), 0);
    close(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_comma), cmocka_unit_test(test_fork), cmocka_unit_test(test_errno),
        cmocka_unit_test(test_signals), cmocka_unit_test(test_no_streams),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
