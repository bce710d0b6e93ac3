/* test_load_copy.c - after a load, a tensor's 16-bit copy is that of the loaded weights. */
#include "tests/stored_run.h"

/* The copy of weights that are all that is known of a tensor. */
static void check_copy(const run *r, const char *what)
{
    static float values[COUNT];
    static uint16_t want[COUNT];
    widen(r->s->dtype, r->data, values, COUNT);
    narrow(r->s->copy, values, want, COUNT);
    if (memcmp(r->copy, want, sizeof want)) fail_msg("%s, %s: another copy", r->s->name, what);
}

static void load_each(const stored_as *s)
{
    const eden_config config = EDEN_CONFIG_INIT;
    run *a = begin(s, "adam", &config), *b = begin(s, "adam", &config);
    for (int i = 0; i < 4; i++) run_step(a);
    OK(eden_save(a->o, file("a"), 0, error));
    memset(b->copy, 0x55, sizeof b->copy);
    OK(eden_load(b->o, file("a"), EDEN_OPTIM, error));
    assert_int_equal(((unsigned char *)b->copy)[7], 0x55); /* no weight was loaded */
    OK(eden_load(b->o, file("a"), 0, error));
    /* What was lost by rounding is in the file only if it is kept apart. */
    if (s->dtype == EDEN_F32 || s->rounding == EDEN_SPLIT) same_runs(a, b, "loaded");
    else check_copy(b, "loaded");

    memset(b->copy, 0x55, sizeof b->copy);
    OK(eden_load(b->o, file("a"), EDEN_WEIGHTS, error));
    check_copy(b, "weights loaded"); /* without what was kept apart */
    end(a), end(b);
}

static void test_load(void **state)
{
    int copies = 0;
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        if (!ways[i].copy) continue;
        load_each(&ways[i]);
        copies++;
    }
    assert_int_equal(copies, 3);
}

/* A file that does not fit leaves the copy as it is. */
static void test_refused(void **state)
{
    const eden_config config = EDEN_CONFIG_INIT;
    run *a = begin(&ways[0], "adam", &config), *b = begin(&ways[4], "adam", &config);
    (void)state;
    run_step(a);
    OK(eden_save(a->o, file("a"), 0, error));
    memset(b->copy, 0x55, sizeof b->copy);
    REFUSED(eden_load(b->o, file("a"), 0, error), EDEN_E_MISMATCH, "does not fit");
    for (size_t i = 0; i < sizeof b->copy; i++) assert_int_equal((unsigned char)b->copy[i], 0x55);
    end(a), end(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_refused, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
