/* test_rounds.c - what reaches a program's own threads: how many rounds of how many tasks,
 * none of them for little work, and in which floating-point environment they come back. */
#include <fenv.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bits.h"
#include "tests/ok.h"

#include "engine/rule.h"

enum { CHUNK = EDEN_CHUNK, WAVE = 16 * CHUNK, MOST = 160 * CHUNK };

typedef struct {
    int rounds, changed;
    size_t tasks; /* of the last round */
} pool;

/* A pool whose threads round upwards, whatever they are given to do. */
static void run(void *with, size_t tasks, void (*task)(size_t i, void *job), void *job)
{
    pool *p = with;
    const int before = fegetround();
    fesetround(FE_UPWARD);
    for (size_t i = 0; i < tasks; i++) {
        task(i, job);
        p->changed += fegetround() != FE_UPWARD;
    }
    fesetround(before);
    p->rounds++;
    p->tasks = tasks;
}

static float *weights, *gradients;

static int make_room(void **state)
{
    (void)state;
    weights = calloc(MOST, sizeof *weights);
    gradients = calloc(MOST, sizeof *gradients);
    return !weights || !gradients;
}

static int free_room(void **state)
{
    (void)state;
    free(weights), free(gradients);
    return 0;
}

/* One step over tensors of so many elements, "gN" in group N of its own rule, and the
 * gradients are not looked at: only the rules' passes are rounds. */
typedef struct { const char *rule; size_t count; } part;

static pool step(const part *parts, size_t n)
{
    pool p = { 0, 0, 0 };
    eden_config c = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    size_t used = 0;
    c.run = run, c.pool = &p, c.nonfinite = EDEN_APPLY;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    for (size_t i = 0; i < n; i++) {
        const char name[3] = { 'g', (char)('a' + i), 0 };
        const eden_tensor t = eden_vector(weights + used, gradients + used, parts[i].count);
        OK(eden_add_group(o, name, parts[i].rule, NULL, error));
        OK(eden_add_tensor(o, name, &t, name, error));
        used += parts[i].count;
    }
    assert_true(used <= MOST);
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
    assert_int_equal(p.changed, 0);
    return p;
}

/* A round costs more than six chunks of 16384 elements are worth to a second thread. */
static void test_little(void **state)
{
    (void)state;
    assert_int_equal(step(&(part){ "sgd", 1 }, 1).rounds, 0);
    assert_int_equal(step(&(part){ "sgd", 6 * CHUNK - 1 }, 1).rounds, 0);
    assert_int_equal(step(&(part){ "sgd", 6 * CHUNK }, 1).rounds, 1);
    const part two[2] = { { "sgd", 3 * CHUNK }, { "sgd", 3 * CHUNK - 1 } };
    assert_int_equal(step(two, 2).rounds, 0);
    assert_int_equal(step(two, 1).rounds, 0);
}

/* Rules of one pass need no cache between passes: all tensors are one round, and each of
 * their chunks a task, as long as there are not too many. */
static void test_one_pass(void **state)
{
    part parts[10];
    (void)state;
    for (size_t i = 0; i < 10; i++) parts[i] = (part){ "sgd", WAVE };
    const pool p = step(parts, 10);
    assert_int_equal(p.rounds, 1);
    assert_int_equal(p.tasks, 160);
    parts[0].count = 6 * CHUNK, parts[1].count = 0, parts[2].count = CHUNK;
    const pool q = step(parts, 3);
    assert_int_equal(q.rounds, 1);
    assert_int_equal(q.tasks, 7);
}

/* A rule of several passes takes 2^18 elements through all of them before it goes on, and
 * so does whoever shares its wave. */
static void test_waves(void **state)
{
    const part half = { "lamb", WAVE / 2 }, whole = { "lamb", WAVE }, plain = { "sgd", WAVE / 2 };
    (void)state;
    /* A pass of one piece for each tensor is a round of its own if there are two. */
    const int alone = step(&half, 1).rounds, both = step((part[]){ half, half }, 2).rounds;
    assert_true(alone > 1 && both >= alone);
    assert_int_equal(step((part[]){ half, half, half }, 3).rounds, both + alone);
    assert_int_equal(step((part[]){ whole, whole, whole }, 3).rounds, 3 * alone);
    assert_int_equal(step((part[]){ half, plain }, 2).rounds, alone);
    assert_int_equal(step((part[]){ whole, plain }, 2).rounds, alone + 1);
    assert_int_equal(step((part[]){ plain, whole }, 2).rounds, alone + 1);
    assert_int_equal(step((part[]){ whole, { "sgd", 0 }, plain }, 3).rounds, alone + 1);
    assert_int_equal(step((part[]){ { "sgd", 0 }, { "lamb", 2 * WAVE } }, 2).rounds, alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little),
        cmocka_unit_test(test_one_pass),
        cmocka_unit_test(test_waves),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
