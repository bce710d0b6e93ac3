/* test_power_loss.c - the power fails at any moment of a save: the checkpoint is the new
 * one or the one before it, whole, and the next save succeeds.
 *
 * EDEN_STATES is how many states of the disk are tried. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>

#include "tests/scratch.h"
#include "tests/power_disk.h"

enum { SAVES = 5, WEIGHTS = 400 };

static unsigned char *saved[SAVES + 2];
static size_t saved_length[SAVES + 2];

typedef struct {
    eden_optimizer *o;
    float w[WEIGHTS], g[WEIGHTS];
} small;

static void must(eden_status status, const eden_error *e)
{
    if (status) fail_msg("status %d: %s", status, e->text);
}

static void make(small *m)
{
    eden_error e;
    memset(m, 0, sizeof *m);
    const eden_tensor t = eden_vector(m->w, m->g, WEIGHTS);
    must(eden_optimizer_create(&m->o, "momentum", NULL, &e), &e);
    must(eden_add_tensor(m->o, "w", &t, NULL, &e), &e);
}

/* One step, and a checkpoint whose length is its own. */
static eden_status step_and_save(small *m, eden_error *e)
{
    char text[1200] = "";
    for (int i = 0; i < WEIGHTS; i++) m->g[i] = 0.5f * m->w[i] - (float)(i % 17);
    must(eden_step(m->o, e), e);
    memset(text, 'x', (size_t)(eden_steps(m->o) * 211 % 1100));
    must(eden_set_note(m->o, "length", text, e), e);
    return eden_save(m->o, at("p"), 0, e);
}

static void record(void)
{
    small m;
    make(&m);
    for (int i = 0; i < NAMES; i++) leads_to[i] = NOTHING;
    for (int k = 1; k <= SAVES; k++) {
        eden_error e = { 0, "" };
        recording = 1;
        const eden_status status = step_and_save(&m, &e);
        recording = 0;
        must(status, &e);
        note((call){ SAVED, 0, 0, 0, 0, NULL });
        saved[k] = fetch(at("p"), &saved_length[k]);
    }
    eden_optimizer_destroy(m.o);
}

/* Which save a file is of, byte for byte; 0 if it is not there, -1 if it is torn. */
static int which(const char *name)
{
    size_t n;
    struct stat s;
    if (stat(at(name), &s) != 0) return 0;
    unsigned char *bytes = fetch(at(name), &n);
    int found = -1;
    for (int k = 1; k <= SAVES + 1; k++)
        if (saved[k] && n == saved_length[k] && memcmp(bytes, saved[k], n) == 0) found = k;
    free(bytes);
    return found;
}

/* Loading gives the save that the bytes are of. */
static void check_load(const char *name, int k)
{
    small m;
    eden_error e = { 0, "" };
    make(&m);
    const eden_status status = eden_load(m.o, at(name), 0, &e);
    if (k > 0 && (status || eden_steps(m.o) != (uint64_t)k))
        fail_msg("save %d loads as step %d: '%s'", k, (int)eden_steps(m.o), e.text);
    if (k < 0) assert_int_equal(status, EDEN_E_FORMAT);
    eden_optimizer_destroy(m.o);
}

/* The save after a crash succeeds, keeps what was there, and leaves nothing else. */
static void check_recovery(int before)
{
    small m;
    eden_error e = { 0, "" };
    make(&m);
    if (before > 0) must(eden_load(m.o, at("p"), 0, &e), &e);
    must(step_and_save(&m, &e), &e);
    eden_optimizer_destroy(m.o);
    check_load("p", before + 1);
    if (before > 0) assert_int_equal(which("p.old"), before);
    assert_int_equal(count_files(".eden-tmp"), 0);
}

/* Is the disk after calls [0, end) as it was promised? */
static int as_promised(int end, kind blind)
{
    int done = 0;
    for (int i = 0; i < end; i++) done += calls[i].what == SAVED;
    crash(end, blind);
    const int now = which("p"), old = which("p.old");
    const int next = calls[end - 1].what != SAVED && done < SAVES;
    if (now < done || now > done + next) return 0;
    /* Once there are two, there are always two. */
    return old >= 0 && old < now + (now == 0) && old >= done - 1;
}

static void test_states(void **state)
{
    const char *wanted = getenv("EDEN_STATES");
    const long states = wanted ? strtol(wanted, NULL, 10) : 12000;
    long recovered = 0, newer = 0;
    (void)state;
    for (long i = 0; i < states; i++) {
        const int end = 1 + (int)(i % call_count);
        chance_state = (uint64_t)i * 0x632be59bd9b4e019;
        if (!as_promised(end, SAVED))
            fail_msg("state %ld, after %d calls: p is %d, p.old %d", i, end, which("p"), which("p.old"));
        const int now = which("p");
        newer += calls[end - 1].what != SAVED && now == which("p.old") + 1;
        if (i % 4 == 0 && now) check_load("p", now);
        if (i % 16 == 1) {
            check_recovery(now);
            recovered++;
        }
    }
    print_message("%ld states after %d calls of the system, 0 torn, 0 lost; %ld recoveries\n", states,
                  call_count, recovered);
    assert_true(states > 0 && newer > 0);
}

/* The same disks under a writer that had not forced its files, or its folder, are bad:
 * torn, or older than a save that had returned. */
static void test_model(void **state)
{
    static const kind missing[] = { FORCE, FORCE_FOLDER };
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        int bad = 0, torn = 0;
        for (int i = 0; i < 2000; i++) {
            chance_state = (uint64_t)i;
            if (as_promised(1 + i % call_count, missing[k])) continue;
            bad++;
            const int now = which("p");
            torn += now < 0;
            if (now < 0) check_load("p", now);
        }
        print_message("without %s: %d of 2000 states bad, %d of them torn\n",
                      k ? "forcing the folder" : "forcing the file", bad, torn);
        assert_true(bad > 20);
        assert_true(k || torn > 20);
    }
}

static int begin(void **state)
{
    if (scratch_make(state) != 0) return -1;
    record();
    return 0;
}

static int end(void **state)
{
    for (int i = 0; i < call_count; i++) free(calls[i].data);
    for (int k = 0; k <= SAVES + 1; k++) free(saved[k]);
    for (int n = 0; n < NAMES; n++) free(names[n]);
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
