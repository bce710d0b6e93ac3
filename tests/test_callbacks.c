/* test_callbacks.c - a function that the optimizer calls may ask it, and change nothing. */
#include "tests/checkpoint_model.h"

enum { MANY = 400000 };

typedef struct {
    eden_optimizer *o;
    float *w, *g, more[4];
    int meddles, asked;
    uint64_t calls;
} caller;

/* Every call that changes something, or lays out memory. */
static void meddle(caller *c)
{
    static float room[4];
    const eden_tensor t = eden_vector(room, NULL, 4);
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    uint64_t n = 0;
    eden_error e[22];
    eden_optimizer *o = c->o;
    const eden_status all[22] = {
        eden_step(o, &e[0]), eden_load(o, file("a"), 0, &e[1]), eden_save(o, file("b"), 0, &e[2]),
        eden_set(o, NULL, "lr", 2, &e[3]), eden_set_text(o, NULL, "lr=2", &e[4]),
        eden_add_group(o, "new", NULL, NULL, &e[5]), eden_add_tensor(o, "new", &t, NULL, &e[6]),
        eden_set_grad(o, "w", NULL, &e[7]), eden_zero_grad(o, &e[8]), eden_step_tensor(o, "w", &e[9]),
        eden_lookahead_begin(o, &e[10]), eden_lookahead_end(o, &e[11]), eden_swap_average(o, &e[12]),
        eden_get_average(o, "w", NULL, 0, &n, &e[13]), eden_schedule(o, NULL, "lr", NULL, &e[14]),
        eden_report(o, 1, &e[15]), eden_set_note(o, "k", "v", &e[16]),
        eden_get_state(o, "w", "v", NULL, 0, &n, &e[17]), eden_load_as(o, file("a"), EDEN_PARTIAL, &r, &e[18]),
        eden_schedule_custom(o, NULL, "lr", NULL, NULL, &e[19]), eden_save(o, file("b"), EDEN_WEIGHTS, &e[20]),
        eden_load(o, file("a"), EDEN_WEIGHTS, &e[21]),
    };
    for (size_t i = 0; i < 22; i++)
        if (all[i] != EDEN_E_ORDER || !strstr(e[i].text, "called by a function that this optimizer is calling"))
            fail_msg("call %zu: status %d, '%s'", i, all[i], e[i].text);
    double lr;
    OK(eden_get(o, NULL, "lr", &lr, error));
    OK(eden_tensor_steps(o, "w", &n, error));
    assert_true(n <= eden_steps(o) && eden_tensor_count(o) == 1 && !eden_note(o, "k"));
    c->asked++;
}

static double half(uint64_t step, void *context)
{
    caller *c = context;
    if (c->meddles) meddle(c);
    return step > 1 ? 0.5 : 1;
}

static void run(void *pool, size_t tasks, void (*task)(size_t i, void *job), void *job)
{
    caller *c = pool;
    if (c->meddles) meddle(c);
    for (size_t i = 0; i < tasks; i++) task(i, job);
    c->calls++;
}

static void start(caller *c, int meddles)
{
    eden_config config = EDEN_CONFIG_INIT;
    *c = (caller){ .meddles = meddles };
    config.run = run, config.pool = c;
    c->w = calloc(MANY, sizeof *c->w), c->g = malloc(MANY * sizeof *c->g);
    assert_true(c->w && c->g);
    for (size_t i = 0; i < MANY; i++) c->g[i] = (float)(i % 7) - 3;
    const eden_tensor t = eden_vector(c->w, c->g, MANY);
    OK(eden_optimizer_create(&c->o, "adam", &config, error));
    OK(eden_add_tensor(c->o, "w", &t, NULL, error));
    OK(eden_schedule_custom(c->o, NULL, "lr", half, c, error));
}

static void finish(caller *c)
{
    eden_optimizer_destroy(c->o);
    free(c->w);
    free(c->g);
}

/* Refused calls leave the same bits, in a schedule and in the threads of a pool. */
static void test_steps(void **state)
{
    caller plain, c;
    (void)state;
    start(&plain, 0);
    start(&c, 0);
    OK(eden_save(c.o, file("a"), 0, error)); /* so that a load would find one */
    c.meddles = 1;
    for (int i = 0; i < 3; i++) {
        OK(eden_step(plain.o, error));
        OK(eden_step(c.o, error));
    }
    assert_true(c.calls > 0 && c.calls == plain.calls && (uint64_t)c.asked == 3 + c.calls);
    assert_true(eden_steps(c.o) == 3 && memcmp(c.w, plain.w, MANY * sizeof *c.w) == 0);
    c.meddles = 0;
    OK(eden_step(c.o, error)); /* and afterwards all is open again */
    OK(eden_set(c.o, NULL, "lr", 0.1, error));
    assert_int_equal(access(file("b"), F_OK), -1);
    finish(&plain);
    finish(&c);
}

static double beyond(uint64_t step, void *context)
{
    (void)context;
    return step > 1 ? -1 : 1;
}

/* Also where what the function returned is refused. */
static void test_after_refusal(void **state)
{
    caller c;
    (void)state;
    start(&c, 0);
    OK(eden_schedule_custom(c.o, NULL, "lr", beyond, NULL, error));
    OK(eden_step(c.o, error));
    REFUSED(eden_step(c.o, error), EDEN_E_VALUE, "the schedule of lr gives");
    OK(eden_schedule(c.o, NULL, "lr", NULL, error));
    OK(eden_step(c.o, error));
    finish(&c);
}

static void on_difference(void *context, const char *difference)
{
    assert_non_null(strstr(difference, "lr"));
    meddle(context);
}

/* And while a load tells what differs. */
static void test_load(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    caller c;
    (void)state;
    start(&c, 0);
    OK(eden_save(c.o, file("a"), 0, error));
    OK(eden_schedule(c.o, NULL, "lr", NULL, error));
    r.tell = on_difference, r.context = &c;
    REFUSED(eden_load_as(c.o, file("a"), 0, &r, error), EDEN_E_MISMATCH, "is a function in the file");
    assert_int_equal(c.asked, 1);
    OK(eden_step(c.o, error));
    finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = { IN_FOLDER(test_steps), IN_FOLDER(test_after_refusal), IN_FOLDER(test_load) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
