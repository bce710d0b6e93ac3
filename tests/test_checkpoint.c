/* test_checkpoint.c - a run that is saved and loaded goes on as if it never stopped. */
#include "tests/checkpoint_model.h"

#include <fenv.h>
#include <math.h>

enum { STEPS = 7 };

/* ---- every rule, every setting ----------------------------------------------------- */

/* One run: a rule or preset, one of its settings changed or none, a config. */
typedef struct {
    const char *rule, *other_rule;
    size_t hyper;       /* SIZE_MAX: none                                       */
    double value;
    int everything;     /* with accumulation, clipping, schedules and notes     */
} variant;

static void start(model *m, const variant *v)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 1;
    if (v->everything) c.accumulate = 3, c.clip_norm = 0.75, c.clip_value = 0.4, c.maximize = 1;
    create(m, v->rule, v->other_rule, &c);
    if (v->hyper != SIZE_MAX)
        OK(eden_set(m->o, NULL, eden_rule_hyper(eden_group_rule(m->o, NULL), v->hyper)->name, v->value,
                    error));
    if (!v->everything) return;
    OK(eden_schedule(m->o, NULL, "lr", "warmup(4) * plateau(0.5, 1, 0.01, 0.1)", error));
    OK(eden_schedule(m->o, "its \"own\".rule", "lr",
                     "sequence(constant(0.5), 3, plateau(0.9, 0) * cosine(20), 3, step(2, 0.5))", error));
    OK(eden_set_note(m->o, "epoch", "3", error));
}

static int works(const variant *v)
{
    model m;
    start(&m, v);
    const int fine = train_once(&m, NULL) == EDEN_OK;
    destroy(&m);
    return fine;
}

/* Train, save after k steps on the way, and again at the end; then load the first
 * file into a fresh model, train the rest, and see the same file at the end. */
static void resume(const variant *v, uint64_t k)
{
    char what[200];
    model a, b;
    start(&a, v);
    train(&a, k);
    OK(eden_save(a.o, file("a"), 0, error));
    const uint64_t micro = a.micro;
    train(&a, STEPS - k);
    OK(eden_save(a.o, file("b"), 0, error));

    start(&b, v);
    if (v->everything) { /* what was set before is not in the way */
        OK(eden_set(b.o, NULL, "lr", 0.77, error));
        OK(eden_schedule(b.o, "no decay", "lr", "absolute(linear(9))", error));
        OK(eden_set_note(b.o, "stale", "x", error));
        train(&b, 2);
    }
    OK(eden_load(b.o, file("a"), 0, error));
    assert_int_equal(eden_steps(b.o), k);
    b.micro = micro;
    train(&b, STEPS - k);
    OK(eden_save(b.o, file("c"), 0, error));
    snprintf(what, sizeof what, "%s, %s = %g, resumed after %u", v->rule,
             v->hyper == SIZE_MAX ? "nothing"
                                  : eden_rule_hyper(eden_group_rule(a.o, NULL), v->hyper)->name,
             v->value, (unsigned)k);
    same_files(file("b"), file("c"), what);
    assert_memory_equal(a.w, b.w, sizeof a.w);
    assert_memory_equal(a.k, b.k, sizeof a.k);
    assert_memory_equal(a.b, b.b, sizeof a.b);
    destroy(&a);
    destroy(&b);
}

/* Each setting alone at another value, where the rule accepts that. */
static unsigned resume_settings(variant v, const eden_rule *rule)
{
    unsigned tried = 0;
    const eden_hyper *h;
    for (size_t i = 0; (h = eden_rule_hyper(rule, i)); i++) {
        const double real = h->initial == 0.5 ? 0.25 : 0.5;
        for (int n = 0; n < (h->kind == EDEN_REAL ? 1 : (int)h->high + 1); n++) {
            v.hyper = i;
            v.value = h->kind == EDEN_REAL ? real : n;
            if (v.value == h->initial || !eden_rule_allows(rule, i, v.value) || !works(&v)) continue;
            resume(&v, tried++ % STEPS);
        }
    }
    return tried;
}

static void resume_rule(const char *name, const eden_rule *rule, const char *other)
{
    variant v = { name, other, SIZE_MAX, 0, 0 };
    for (uint64_t k = 0; k < STEPS; k += 2) resume(&v, k);
    v.everything = 1;
    for (uint64_t k = 1; k <= STEPS; k += 2) resume(&v, k);
    v.everything = 0;
    if (resume_settings(v, rule) < 3) fail_msg("%s: hardly a setting was tried", name);
}

static void test_every_rule(void **state)
{
    const eden_rule *rule;
    const eden_preset *preset;
    (void)state;
    for (size_t i = 0; (rule = eden_rule_at(i)); i++) {
        const char *other = eden_rule_name(eden_rule_at((i + 1) % eden_rule_count()));
        resume_rule(eden_rule_name(rule), rule, other);
        for (size_t p = 0; (preset = eden_rule_preset(rule, p)); p++)
            resume_rule(preset->name, rule, eden_rule_name(rule));
    }
}

/* ---- what is restored ---------------------------------------------------------------- */

static void test_numbers(void **state)
{
    static const double values[] = { 0.1, 1e-45, 3.4e38, 1.0 / 3, 0.30000000000000004, 123456789.125 };
    model a, b;
    double value;
    uint64_t steps;
    (void)state;
    eden_config c = EDEN_CONFIG_INIT;
    c.clip_norm = 1.0 / 3;
    c.nonfinite = EDEN_SKIP;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        create(&a, "adamw", "lion", &c);
        create(&b, "adamw", "lion", &c);
        OK(eden_set(a.o, NULL, "lr", values[i], error));
        OK(eden_set_text(a.o, "no decay", "amsgrad=corrected, beta1=0", error));
        OK(eden_set_text(b.o, NULL, "eps=0.25", error));
        OK(train_once(&a, error));
        a.w[0] = NAN;
        OK(train_once(&a, error));
        OK(eden_save(a.o, file("a"), 0, error));
        const int rounding = fegetround();
        fesetround(FE_UPWARD); /* the caller's rounding is not the file's */
        OK(eden_load(b.o, file("a"), 0, error));
        OK(eden_save(b.o, file("b"), 0, error));
        fesetround(rounding);
        same_files(file("a"), file("b"), "numbers");
        OK(eden_get(b.o, NULL, "lr", &value, error));
        assert_true(value == values[i]);
        OK(eden_get(b.o, "no decay", "amsgrad", &value, error));
        assert_true(value == 2);
        OK(eden_get(b.o, NULL, "eps", &value, error));
        assert_true(value == 1e-8); /* set here, but not in the file */
        OK(eden_tensor_steps(b.o, "mean", &steps, error));
        assert_true(steps == 0 && eden_steps(b.o) == 1 && eden_skipped(b.o) == 1);
        assert_true(eden_grad_norm(a.o) > 0 && eden_grad_norm(b.o) == eden_grad_norm(a.o));
        destroy(&a);
        destroy(&b);
    }
}

/* The norm of gradients that are not finite survives as well. */
static void test_strange_norm(void **state)
{
    eden_config c = EDEN_CONFIG_INIT;
    model a, b;
    (void)state;
    c.clip_norm = 1;
    c.nonfinite = EDEN_APPLY;
    for (int i = 0; i < 2; i++) {
        create(&a, "sgd", "sgd", &c);
        create(&b, "sgd", "sgd", &c);
        a.w[3] = i ? NAN : INFINITY;
        OK(train_once(&a, error));
        OK(eden_save(a.o, file("a"), 0, error));
        OK(eden_load(b.o, file("a"), 0, error));
        assert_true(isnan(eden_grad_norm(a.o)) == isnan(eden_grad_norm(b.o)));
        assert_true(isinf(eden_grad_norm(a.o)) == isinf(eden_grad_norm(b.o)));
        assert_true(isnan(eden_grad_norm(b.o)) || isinf(eden_grad_norm(b.o)));
        destroy(&a);
        destroy(&b);
    }
}

static void test_notes(void **state)
{
    static const char *const notes[][2] = {
        { "epoch", "12" }, { "text", "two\nlines\r\n\ttab \"quotes\" \\ back" }, { "\xf0\x9f\x8c\xb1 key", "\xc3\xa9\xe2\x82\xac" },
        { "empty", "" }, { "a.b@c = %s", "\x01\x1f\x7f" },
    };
    model a, b;
    (void)state;
    create(&a, "sgd", "sgd", NULL);
    create(&b, "sgd", "sgd", NULL);
    for (size_t i = 0; i < 5; i++) OK(eden_set_note(a.o, notes[i][0], notes[i][1], error));
    OK(eden_set_note(b.o, "gone", "after the load", error));
    OK(eden_save(a.o, file("a"), EDEN_OPTIM, error));
    OK(eden_load(b.o, file("a"), EDEN_OPTIM, error));
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(eden_note(b.o, notes[i][0]));
        assert_string_equal(eden_note(b.o, notes[i][0]), notes[i][1]);
    }
    assert_null(eden_note(b.o, "gone"));
    OK(eden_set_note(b.o, "more", "fits", error));
    assert_string_equal(eden_note(b.o, "more"), "fits");
    destroy(&a);
    destroy(&b);
}

static double halve(uint64_t step, void *context)
{
    return (double)step / (*(double *)context * 2);
}

static void test_custom(void **state)
{
    double context = 4, value;
    model a, b;
    (void)state;
    create(&a, "adam", "sgd", NULL);
    create(&b, "adam", "sgd", NULL);
    OK(eden_schedule_custom(a.o, "no decay", "lr", halve, &context, error));
    train(&a, 3);
    OK(eden_save(a.o, file("a"), 0, error));
    REFUSED(eden_load(b.o, file("a"), 0, error), EDEN_E_MISMATCH,
            "the schedule of lr in group 'no decay' is a function in the file");
    OK(eden_schedule_custom(b.o, "no decay", "lr", halve, &context, error));
    OK(eden_load(b.o, file("a"), 0, error));
    OK(eden_get_at(b.o, "no decay", "lr", 4, &value, error));
    assert_true(value == 0.0123 * 0.5);
    OK(eden_schedule_custom(b.o, NULL, "beta1", halve, &context, error));
    REFUSED(eden_load(b.o, file("a"), 0, error), EDEN_E_MISMATCH,
            "the schedule of beta1 in group 'default' is a function here");
    destroy(&a);
    destroy(&b);
}

/* ---- parts ----------------------------------------------------------------------------- */

static void test_parts(void **state)
{
    model a, b;
    (void)state;
    create(&a, "momentum", "adam", NULL);
    create(&b, "momentum", "adam", NULL);
    train(&a, 4);
    OK(eden_save(a.o, file("a"), EDEN_WEIGHTS, error));
    OK(eden_save(a.o, file("b"), EDEN_OPTIM, error));
    OK(eden_save(a.o, file("c"), 0, error));
    REFUSED(eden_load(b.o, file("a"), 0, error), EDEN_E_MISMATCH, "load it with EDEN_WEIGHTS");
    REFUSED(eden_load(b.o, file("a"), EDEN_OPTIM, error), EDEN_E_MISMATCH, "holds weights and no");
    REFUSED(eden_load(b.o, file("b"), 0, error), EDEN_E_MISMATCH, "load it with EDEN_OPTIM");
    destroy(&b);
    for (int from_both = 0; from_both < 2; from_both++) {
        create(&b, "momentum", "adam", NULL);
        OK(eden_load(b.o, from_both ? file("c") : file("a"), EDEN_WEIGHTS, error));
        assert_memory_equal(a.w, b.w, sizeof a.w);
        assert_int_equal(eden_steps(b.o), 0);
        memset(b.w, 0, sizeof b.w);
        OK(eden_load(b.o, from_both ? file("c") : file("b"), EDEN_OPTIM, error));
        assert_int_equal(eden_steps(b.o), 4);
        for (int i = 0; i < W; i++) assert_true(b.w[i] == 0);
        memcpy(b.w, a.w, sizeof a.w);
        OK(eden_save(b.o, file("d"), 0, error));
        same_files(file("c"), file("d"), "parts");
        destroy(&b);
    }
    destroy(&a);
}

/* Weights of another program, and a rule that the file's optimizer did not have. */
static void test_foreign(void **state)
{
    eden_writer *out = NULL;
    eden_optimizer *o = NULL;
    const float there[2] = { 5, -6 };
    float w[2] = { 0, 0 }, g[2] = { 0, 0 };
    const uint64_t two = 2;
    (void)state;
    OK(eden_writer_create(&out, error));
    OK(eden_writer_text(out, "format", "pt", error));
    OK(eden_writer_tensor(out, "w@m", "F32", 1, &two, there, error));
    OK(eden_writer_write(out, file("a"), error));
    eden_writer_destroy(out);
    OK(eden_optimizer_create(&o, "lion", NULL, error));
    eden_tensor t = eden_vector(w, g, 2);
    OK(eden_add_tensor(o, "w@m", &t, NULL, error));
    OK(eden_load(o, file("a"), EDEN_WEIGHTS, error));
    assert_true(w[0] == 5 && w[1] == -6);
    REFUSED(eden_load(o, file("a"), 0, error), EDEN_E_MISMATCH, "no optimizer");
    t.data = g, t.grad = NULL;
    OK(eden_add_tensor(o, "v", &t, NULL, error));
    REFUSED(eden_load(o, file("a"), EDEN_WEIGHTS, error), EDEN_E_MISMATCH, "tensor 'v' is not in the file");
    eden_optimizer_destroy(o);
}

/* A tensor called like another one's state. */
static void test_collision(void **state)
{
    eden_optimizer *o = NULL;
    float w[2] = { 1, 2 }, v[3] = { 1, 2, 3 }, g[3] = { 1, 1, 1 };
    (void)state;
    OK(eden_optimizer_create(&o, "lion", NULL, error));
    eden_tensor t = eden_vector(w, g, 2), u = eden_vector(v, g, 3);
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_add_tensor(o, "w@m", &u, NULL, error));
    OK(eden_step(o, error));
    REFUSED(eden_save(o, file("d"), 0, error), EDEN_E_NAME, "tensor 'w@m' has the name of the state 'm' of 'w'");
    assert_int_equal(access(file("d"), F_OK), -1);
    OK(eden_save(o, file("a"), EDEN_WEIGHTS, error)); /* two files have room for both */
    OK(eden_save(o, file("b"), EDEN_OPTIM, error));
    OK(eden_load(o, file("a"), EDEN_WEIGHTS, error));
    OK(eden_load(o, file("b"), EDEN_OPTIM, error));
    eden_optimizer_destroy(o);
}

/* The file that was there is kept until the next save. */
static void test_old_file(void **state)
{
    model m;
    (void)state;
    create(&m, "adam", "sgd", NULL);
    OK(eden_save(m.o, file("a"), 0, error));
    OK(eden_save(m.o, file("b"), 0, error));
    train(&m, 1);
    OK(eden_save(m.o, file("a"), 0, error));
    same_files(file("b"), file("a.old"), "kept");
    destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_every_rule), IN_FOLDER(test_numbers),
        IN_FOLDER(test_strange_norm), IN_FOLDER(test_notes),
        IN_FOLDER(test_custom), IN_FOLDER(test_parts),
        IN_FOLDER(test_foreign), IN_FOLDER(test_collision),
        IN_FOLDER(test_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
