/* test_average_swap.c - averages in the place of the weights, in files, and refused. */
#include "tests/stored_run.h"

#include <math.h>

static long until_failure = -1; /* allocations that still succeed; below 0: all */

static void *malloc_or_fail(size_t size)
{
    if (until_failure < 0) return malloc(size);
    return until_failure-- > 0 ? malloc(size) : (until_failure = 0, NULL);
}

/* All that a swap allocates comes from this file, here in place of the library's. */
#define malloc malloc_or_fail
#undef error
#include "optimizer/average.c"
#define error (&e_)
#undef malloc

static eden_config config_of(uint32_t average, double decay, uint64_t start, uint64_t every)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 2;
    c.average = average, c.average_decay = decay, c.average_start = start, c.average_every = every;
    return c;
}

static run *trained(const stored_as *s, const char *rule, const eden_config *c, int steps)
{
    run *r = begin(s, rule, c);
    for (int t = 0; t < steps; t++) run_step(r);
    return r;
}

/* ---- there and back ------------------------------------------------------------------- */

/* Weights and copy are the averages, stored as such weights are. */
static void check_swapped(const run *r, const float *average)
{
    static char want[COUNT * 4];
    narrow(r->s->dtype, average, want, COUNT);
    assert_memory_equal(r->data, want, COUNT * (r->s->dtype == EDEN_F32 ? 4 : 2));
    if (!r->s->copy) return;
    narrow(r->s->copy, average, want, COUNT);
    assert_memory_equal(r->copy, want, COUNT * 2);
}

static void test_round_trip(void **state)
{
    static float average[COUNT], again[COUNT];
    uint64_t count;
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        const eden_config c = config_of(i % 2 ? EDEN_EMA : EDEN_SWA, i % 2 ? 0.75 : 0, 0, 0);
        run *a = trained(&ways[i], "adamw", &c, 4), *b = trained(&ways[i], "adamw", &c, 4);
        for (int k = 0; k < 2; k++) {
            OK(eden_get_average(a->o, "w", average, COUNT, &count, error));
            OK(eden_swap_average(a->o, error));
            check_swapped(a, average);
            assert_true(memcmp(a->data, b->data, sizeof a->data) != 0);
            OK(eden_swap_average(a->o, error));
            same_runs(a, b, "there and back");
            OK(eden_get_average(a->o, "w", again, COUNT, &count, error));
            assert_memory_equal(average, again, sizeof average);
        }
        for (int t = 0; t < 3; t++) run_step(a), run_step(b); /* and what is kept beside them */
        same_runs(a, b, "trained on");
        OK(eden_get_average(a->o, "w", average, COUNT, &count, error));
        OK(eden_get_average(b->o, "w", again, COUNT, &count, error));
        assert_memory_equal(average, again, sizeof average);
        end(a), end(b);
    }
}

/* Bits are carried and not numbers. */
static void test_any_bits(void **state)
{
    const eden_config c = config_of(EDEN_SWA, 0, 0, 0);
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        run *r = trained(&ways[i], "sgd", &c, 1);
        char before[sizeof r->data];
        for (size_t j = 0; j < sizeof r->data; j++) r->data[j] = (char)mix(j);
        memcpy(before, r->data, sizeof before);
        OK(eden_swap_average(r->o, error));
        OK(eden_swap_average(r->o, error));
        assert_memory_equal(r->data, before, sizeof before);
        end(r);
    }
}

/* What has no average stays: frozen tensors, and those without a gradient so far. */
static void test_without(void **state)
{
    static float a[4] = { 1, 1, 1, 1 }, b[4] = { 2, 2, 2, 2 }, f[4] = { 3, 3, 3, 3 }, g[4] = { 1, 1, 1, 1 };
    const eden_config c = config_of(EDEN_SWA, 0, 2, 0);
    eden_optimizer *o = NULL;
    float got[4];
    uint64_t count;
    eden_tensor t = eden_vector(a, g, 4);
    (void)state;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 0.5, error));
    OK(eden_add_tensor(o, "a", &t, NULL, error));
    t.data = b, t.grad = NULL;
    OK(eden_add_tensor(o, "b", &t, NULL, error));
    t.data = f, t.flags = EDEN_FROZEN;
    OK(eden_add_tensor(o, "f", &t, NULL, error));
    t.data = NULL, t.shape[0] = 0, t.flags = 0;
    OK(eden_add_tensor(o, "empty", &t, NULL, error));
    REFUSED(eden_swap_average(o, error), EDEN_E_ORDER, "no step has been averaged; the first is step 2");
    OK(eden_step(o, error));
    REFUSED(eden_swap_average(o, error), EDEN_E_ORDER, "no step has been averaged");
    REFUSED(eden_get_average(o, "a", got, 4, &count, error), EDEN_E_ORDER, "'a' has not been averaged yet");
    for (int k = 0; k < 2; k++) OK(eden_step(o, error));
    assert_true(a[0] == -0.5f);
    OK(eden_swap_average(o, error));
    assert_true(a[0] == -0.25f && b[0] == 2 && f[0] == 3); /* of 0 and -0.5 */
    OK(eden_swap_average(o, error));
    assert_true(a[0] == -0.5f && b[0] == 2 && f[0] == 3);
    REFUSED(eden_get_average(o, "b", got, 4, &count, error), EDEN_E_ORDER, "'b' has not been averaged yet");
    REFUSED(eden_get_average(o, "f", got, 4, &count, error), EDEN_E_ORDER, "'f' is frozen and has no average");
    assert_int_equal(eden_state_bytes(o), 2 * 4 * sizeof(float)); /* a and b */
    eden_optimizer_destroy(o);
}

static void test_memory(void **state)
{
    const eden_config c = config_of(EDEN_SWA, 0, 0, 0);
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        const int needs = ways[i].dtype != EDEN_F32 || ways[i].copy;
        run *a = trained(&ways[i], "sgd", &c, 1), *b = trained(&ways[i], "sgd", &c, 1);
        for (long n = 0; n < (needs ? 2 : 0); n++) {
            until_failure = n;
            REFUSED(eden_swap_average(a->o, error), EDEN_E_MEMORY, "no memory to swap the averages");
            until_failure = -1;
            same_runs(a, b, "refused");
            run_step(a), run_step(b); /* nothing is swapped */
        }
        until_failure = needs ? 2 : 0;
        OK(eden_swap_average(a->o, error));
        until_failure = 0; /* there is always a way back */
        OK(eden_swap_average(a->o, error));
        until_failure = -1;
        same_runs(a, b, "there and back");
        OK(eden_swap_average(a->o, error)); /* left so, nothing leaks */
        end(a), end(b);
    }
}

/* ---- refused ----------------------------------------------------------------------------- */

static void test_config(void **state)
{
    static const struct { uint32_t average; double decay; uint64_t start, every; const char *part; } bad[] = {
        { 3, 0, 0, 0, "config.average = 3 is none of" },
        { 0, 0.5, 0, 0, "config.average_decay has no effect without config.average" },
        { 0, 0, 1, 0, "config.average_start has no effect" },
        { 0, 0, 0, 1, "config.average_every has no effect" },
        { EDEN_SWA, 0.5, 0, 0, "config.average_decay has no effect on EDEN_SWA" },
        { EDEN_EMA, 0, 0, 0, "config.average_decay = 0 is outside (0, 1)" },
        { EDEN_EMA, 1, 0, 0, "config.average_decay = 1 is outside (0, 1)" },
        { EDEN_EMA, -0.5, 0, 0, "config.average_decay = -0.5 is outside" },
        { EDEN_EMA, NAN, 0, 0, "config.average_decay = nan is outside" },
    };
    eden_optimizer *o = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const eden_config c = config_of(bad[i].average, bad[i].decay, bad[i].start, bad[i].every);
        REFUSED(eden_optimizer_create(&o, "sgd", &c, error), EDEN_E_VALUE, bad[i].part);
    }
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    REFUSED(eden_swap_average(o, error), EDEN_E_ORDER, "eden_swap_average: no average is kept; create");
    eden_optimizer_destroy(o);
}

static void test_while_swapped(void **state)
{
    static float values[COUNT];
    const eden_config c = config_of(EDEN_SWA, 0, 0, 0);
    const eden_tensor none = eden_vector(NULL, NULL, 0);
    uint64_t count;
    (void)state;
    run *r = trained(&ways[0], "sgd", &c, 3), *twin = trained(&ways[0], "sgd", &c, 3);
    REFUSED(eden_get_average(r->o, "w", values, COUNT - 1, &count, error), EDEN_E_ARGUMENT,
            "'w' has 66000 values, room is for 65999");
    OK(eden_get_average(r->o, "w", NULL, 0, &count, error));
    assert_int_equal(count, COUNT);
    REFUSED(eden_get_average(r->o, "u", values, COUNT, &count, error), EDEN_E_NAME, "no tensor is called 'u'");
    REFUSED(eden_get_average(r->o, "w", values, COUNT, NULL, error), EDEN_E_ARGUMENT, "count is NULL");
    REFUSED(eden_get_state(r->o, "w", "average", values, COUNT, &count, error), EDEN_E_NAME, "no state called");
    OK(eden_swap_average(r->o, error));
#define REFUSED_SWAPPED(name, call) REFUSED(call, EDEN_E_ORDER, name ": the averages are where the weights were")
    REFUSED_SWAPPED("eden_step", eden_step(r->o, error));
    REFUSED_SWAPPED("eden_lookahead_begin", eden_lookahead_begin(r->o, error));
    REFUSED_SWAPPED("eden_set", eden_set(r->o, NULL, "lr", 1, error));
    REFUSED_SWAPPED("eden_set_text", eden_set_text(r->o, NULL, "lr=1", error));
    REFUSED_SWAPPED("eden_schedule", eden_schedule(r->o, NULL, "lr", "cosine(9)", error));
    REFUSED_SWAPPED("eden_schedule", eden_schedule(r->o, NULL, "lr", NULL, error));
    REFUSED_SWAPPED("eden_add_group", eden_add_group(r->o, "g", NULL, NULL, error));
    REFUSED_SWAPPED("eden_add_tensor", eden_add_tensor(r->o, "u", &none, NULL, error));
    REFUSED_SWAPPED("eden_save", eden_save(r->o, file("a"), 0, error));
    REFUSED_SWAPPED("eden_save", eden_save(r->o, file("a"), EDEN_OPTIM, error));
    REFUSED_SWAPPED("eden_load", eden_load(r->o, file("a"), EDEN_WEIGHTS, error));
    REFUSED_SWAPPED("eden_get_average", eden_get_average(r->o, "w", values, COUNT, &count, error));
    OK(eden_swap_average(r->o, error));
    run_step(r), run_step(twin);
    same_runs(r, twin, "after refusals");
    end(r), end(twin);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Averages saved as weights are a model of their own. */
static void test_save_swapped(void **state)
{
    static float average[COUNT];
    uint64_t count;
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        const eden_config c = config_of(EDEN_EMA, 0.9, 0, 0);
        const stored_as plain = { "plain", ways[i].dtype, 0, 0, EDEN_NEAREST, 0, 0 };
        run *r = trained(&ways[i], "adam", &c, 3), *fresh = begin(&plain, "sgd", &c);
        OK(eden_get_average(r->o, "w", average, COUNT, &count, error));
        OK(eden_swap_average(r->o, error));
        OK(eden_save(r->o, file("a"), EDEN_WEIGHTS, error));
        OK(eden_load(fresh->o, file("a"), EDEN_WEIGHTS, error));
        check_swapped(fresh, average);
        end(r), end(fresh);
    }
}

static void test_resume(void **state)
{
    static float x[COUNT], y[COUNT];
    uint64_t count;
    (void)state;
    for (size_t i = 0; i < WAYS; i++)
        for (int stop = 0; stop < 7; stop += 2) {
            const eden_config c = i % 2 ? config_of(EDEN_EMA, 0.9, 2, 0) : config_of(EDEN_SWA, 0, 1, 2);
            run *a = trained(&ways[i], "adamw", &c, stop), *b = trained(&ways[i], "adamw", &c, 3);
            OK(eden_save(a->o, file("a"), 0, error));
            OK(eden_load(b->o, file("a"), 0, error));
            b->calls = a->calls;
            int stepped = 0;
            for (int t = stop; t < 7; t++) {
                stepped |= v_takes_part(a->calls);
                run_step(a), run_step(b);
                /* The file has no copies: those of rounded weights come with the next step. */
                if (!stepped && ways[i].dtype != EDEN_F32) memcpy(b->copy2, a->copy2, sizeof b->copy2);
                same_runs(a, b, "resumed");
            }
            OK(eden_get_average(a->o, "v", x, COUNT, &count, error));
            OK(eden_get_average(b->o, "v", y, COUNT, &count, error));
            assert_memory_equal(x, y, SMALL * sizeof *x);
            OK(eden_get_average(a->o, "w", x, COUNT, &count, error));
            OK(eden_get_average(b->o, "w", y, COUNT, &count, error));
            assert_memory_equal(x, y, sizeof x);
            end(a), end(b);
        }
}

static void test_files(void **state)
{
    static const struct { change what; eden_status want; const char *part; } cases[] = {
        { { .drop = "w@average" }, EDEN_E_MISMATCH, "state 'average' of 'w' is not in the file" },
        { { .entry = "w@average", .dtype = "I32" }, EDEN_E_MISMATCH, "is I32 in the file and F32 here" },
        { { .key = "eden.averaged.w" }, EDEN_E_FORMAT, "eden.averaged.w is missing" },
        { { .key = "eden.averaged.w", .value = "4" }, EDEN_E_FORMAT, "eden.averaged.w = '4' makes no sense" },
        { { .key = "eden.average", .value = "swa" }, EDEN_E_MISMATCH, "config.average is swa in the file and ema" },
        { { .key = "eden.average" }, EDEN_E_FORMAT, "makes no sense" },
        { { .key = "eden.average_decay", .value = "0.5" }, EDEN_E_MISMATCH, "average_decay is 0.5 in the file" },
        { { .key = "eden.average_start", .value = "2" }, EDEN_E_MISMATCH, "average_start is 2 in the file and 1" },
        { { .key = "eden.average_every", .value = "2" }, EDEN_E_MISMATCH, "average_every is 2 in the file and 1" },
    };
    const eden_config c = config_of(EDEN_EMA, 0.9, 0, 0), plain = config_of(0, 0, 0, 0);
    float w[1] = { 1 }, g[1] = { 1 };
    const eden_tensor t = eden_vector(w, g, 1);
    model a, b;
    (void)state;
    create(&a, "adam", "sgd", &c);
    create(&b, "adam", "sgd", &plain);
    OK(eden_add_tensor(a.o, "w", &t, NULL, error));
    train(&a, 3);
    OK(eden_save(a.o, file("a"), 0, error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        OK(eden_save(a.o, file("before"), 0, error));
        REFUSED(eden_load(a.o, changed(file("a"), cases[i].what), 0, error), cases[i].want, cases[i].part);
        OK(eden_save(a.o, file("after"), 0, error));
        same_files(file("before"), file("after"), cases[i].part);
    }
    REFUSED(eden_load(b.o, file("a"), EDEN_OPTIM, error), EDEN_E_MISMATCH, "config.average is ema in the file");
    destroy(&a), destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_any_bits),
        cmocka_unit_test(test_without),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_config),     IN_FOLDER(test_while_swapped),
        IN_FOLDER(test_save_swapped),      IN_FOLDER(test_resume),
        IN_FOLDER(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
