/* test_load_tell.c - every difference of a file is told, however many there are. */
#include "tests/checkpoint_model.h"

#include <fenv.h>

enum { COUNT = 400 };

typedef struct {
    unsigned count, named[COUNT], missing, extra;
    size_t longest;
    int rounding; /* what the function finds, and what it leaves */
} told;

static void hear(void *context, const char *difference)
{
    told *t = context;
    unsigned i;
    t->count++;
    t->rounding = fegetround();
    fesetround(FE_UPWARD);
    if (strlen(difference) > t->longest) t->longest = strlen(difference);
    t->missing += strstr(difference, " is not in the file") != NULL;
    t->extra += strstr(difference, " is not here") != NULL;
    if (sscanf(difference, "tensor 'w%u'", &i) == 1 || sscanf(difference, "the file's tensor 'w%u'", &i) == 1)
        t->named[i]++;
}

static float room[COUNT];

/* Tensors w0, w1, ... without `without`, and of `shape` values. */
static eden_optimizer *many(unsigned without, uint64_t shape)
{
    eden_optimizer *o = NULL;
    char name[16];
    OK(eden_optimizer_create(&o, "adam", NULL, error));
    for (unsigned i = 0; i < COUNT; i++) {
        const eden_tensor t = eden_vector(room + i, NULL, i == 0 ? shape : 1);
        snprintf(name, sizeof name, "w%u", i);
        if (i == 0 || i % without) OK(eden_add_tensor(o, name, &t, NULL, error));
    }
    return o;
}

/* Of 400 tensors 200 are missing in the file: the sentence counts what it does not list. */
static void test_refused(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    told t = { 0 };
    (void)state;
    eden_optimizer *saved = many(2, 1), *o = many(COUNT, 1);
    OK(eden_save(saved, file("a"), 0, error));
    r.tell = hear, r.context = &t;
    REFUSED(eden_load_as(o, file("a"), 0, &r, error), EDEN_E_MISMATCH, "more");
    assert_int_equal(t.count, COUNT / 2 - 1);
    assert_int_equal(t.missing, t.count);
    for (unsigned i = 2; i < COUNT; i++) assert_int_equal(t.named[i], i % 2 == 0);
    eden_optimizer_destroy(saved);
    eden_optimizer_destroy(o);
}

/* What a partial load leaves out or passes over is told as well; the environment is the
 * caller's inside and stays so. */
static void test_partial(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    told t = { 0 };
    (void)state;
    eden_optimizer *saved = many(3, 1), *o = many(2, 0);
    OK(eden_save(saved, file("a"), 0, error));
    r.tell = hear, r.context = &t;
    fesetround(FE_DOWNWARD);
    const eden_status status = eden_load_as(o, file("a"), EDEN_PARTIAL, &r, NULL);
    const int rounding = fegetround();
    fesetround(FE_TONEAREST);
    assert_int_equal(status, EDEN_OK);
    assert_true(rounding == FE_DOWNWARD && t.rounding == FE_DOWNWARD);
    assert_int_equal(r.different, 1);
    assert_int_equal(t.missing, r.missing);
    assert_int_equal(t.extra, r.extra);
    assert_int_equal(t.count, r.missing + r.different + r.extra);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(t.named[i], i == 0 || (i % 2 == 0) != (i % 3 == 0));
    eden_optimizer_destroy(saved);
    eden_optimizer_destroy(o);
}

static void keep(void *context, const char *difference) { snprintf(context, 600, "%s", difference); }

/* Names are told whole, and printable; reports that end before `tell` are taken. */
static void test_names(void **state)
{
    char long_name[256], heard[600] = "";
    float w[1] = { 1 };
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    const eden_tensor t = eden_vector(w, NULL, 1);
    eden_optimizer *o = many(COUNT, 1), *p = many(COUNT, 1);
    (void)state;
    memset(long_name, 'n', 255), long_name[255] = 0;
    memcpy(long_name, "\xe2\x80\xae", 3);
    OK(eden_add_tensor(o, long_name, &t, NULL, error));
    OK(eden_save(o, file("a"), 0, error));
    r.tell = keep, r.context = heard;
    OK(eden_load_as(p, file("a"), EDEN_PARTIAL, &r, error));
    const char *at = strstr(heard, "'?nnn");
    assert_non_null(at);
    assert_int_equal(strspn(at + 2, "n"), 252);
    assert_non_null(strstr(heard, "' is not here"));

    struct { eden_load_report r; unsigned char more[8]; } later = { EDEN_LOAD_REPORT_INIT, { 0 } };
    later.r.size = sizeof later;
    OK(eden_load_as(p, file("a"), EDEN_PARTIAL, &later.r, error));
    assert_int_equal(later.r.extra, 1);
    later.more[7] = 1;
    REFUSED(eden_load_as(p, file("a"), EDEN_PARTIAL, &later.r, error), EDEN_E_ARGUMENT, "something is set");
    eden_load_report old = EDEN_LOAD_REPORT_INIT;
    old.size = offsetof(eden_load_report, tell);
    memset((char *)&old + old.size, 0xff, sizeof old - old.size); /* none of its business */
    OK(eden_load_as(p, file("a"), EDEN_PARTIAL, &old, error));
    assert_int_equal(old.extra, 1);
    assert_int_equal(((unsigned char *)&old)[old.size], 0xff);
    eden_optimizer_destroy(o);
    eden_optimizer_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { IN_FOLDER(test_refused), IN_FOLDER(test_partial), IN_FOLDER(test_names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
