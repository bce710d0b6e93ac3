/* test_nesterov.c - Nesterov's two forms are one iteration seen from two points.
 *
 * The page's form takes the gradient at the look-ahead point,
 *     v = b*v + grad(theta - a*b*v);  theta -= a*v,
 * and the frameworks' form takes it where the weights are. The frameworks' weights
 * are the page's look-ahead point, theta - a*b*v, at every step.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ok.h"

enum { N = 5, STEPS = 50 };
static const double lr = 0.1, beta = 0.9;
static const float curve[N] = { 0.1f, 0.5f, 1, 2, 5 }, target[N] = { 1, -2, 3, 0, 10 };
static const float begin[N] = { 4, 4, -4, 1, 0 };

/* A quadratic bowl under a trained vector, with one that has no gradient beside it. */
typedef struct {
    eden_optimizer *o;
    float w[N], g[N], other[2];
} problem;

static void start(problem *p, const char *settings)
{
    memcpy(p->w, begin, sizeof p->w);
    p->other[0] = 7, p->other[1] = -7;
    OK(eden_optimizer_create(&p->o, "sgd", NULL, error));
    OK(eden_set(p->o, NULL, "lr", lr, error));
    OK(eden_set(p->o, NULL, "momentum", beta, error));
    OK(eden_set_text(p->o, NULL, settings, error));
    eden_tensor w = eden_vector(p->w, p->g, N), other = eden_vector(p->other, NULL, 2);
    OK(eden_add_tensor(p->o, "w", &w, NULL, error));
    OK(eden_add_tensor(p->o, "other", &other, NULL, error));
}

static void gradient(problem *p)
{
    OK(eden_zero_grad(p->o, error));
    for (int i = 0; i < N; i++) p->g[i] += curve[i] * (p->w[i] - target[i]);
}

static void velocity(problem *p, float *b)
{
    uint64_t count;
    OK(eden_get_state(p->o, "w", "b", b, N, &count, error));
    assert_int_equal(count, N);
}

static void close_to(const char *what, int step, const double *want, const float *got)
{
    for (int i = 0; i < N; i++)
        if (fabs(want[i] - (double)got[i]) > 1e-6 * (10 + fabs(want[i])))
            fail_msg("%s, step %d: w[%d] is %.9g instead of %.9g", what, step, i, (double)got[i], want[i]);
}

static void test_two_views(void **state)
{
    static const char *const forms[][2] = {
        { "lookahead=1", "nesterov=1" },
        { "lookahead=1, lr_in_momentum=1", "nesterov=1, lr_in_momentum=1" },
        { "lookahead=1, weight_decay=0.1", "nesterov=1, weight_decay=0.1" },
    };
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        const double scale = strstr(forms[f][0], "lr_in") ? 1 : lr;
        problem page, frameworks;
        double moved = 0;
        start(&page, forms[f][0]);
        start(&frameworks, forms[f][1]);
        for (int step = 1; step <= STEPS; step++) {
            float b[N], before[N];
            double ahead[N];
            memcpy(before, page.w, sizeof before);
            OK(eden_lookahead_begin(page.o, error));
            for (int i = 0; i < N; i++) ahead[i] = (double)page.w[i];
            close_to("the point of the gradient", step, ahead, frameworks.w);
            gradient(&page);
            OK(eden_step(page.o, error));
            gradient(&frameworks);
            OK(eden_step(frameworks.o, error));
            velocity(&page, b);
            for (int i = 0; i < N; i++) {
                ahead[i] = (double)page.w[i] - scale * beta * (double)b[i];
                moved += fabs((double)page.w[i] - ahead[i]);
            }
            close_to("theta - lr*momentum*b", step, ahead, frameworks.w);
        }
        assert_true(moved > 1); /* the two points are far apart */
        assert_true(page.other[0] == 7 && page.other[1] == -7);
        eden_optimizer_destroy(page.o);
        eden_optimizer_destroy(frameworks.o);
    }
}

/* Both against the page's own two lines, in double. */
static void test_page(void **state)
{
    double theta[N], v[N] = { 0 };
    problem page;
    (void)state;
    start(&page, "lookahead=1");
    for (int i = 0; i < N; i++) theta[i] = (double)begin[i];
    for (int step = 1; step <= STEPS; step++) {
        OK(eden_lookahead_begin(page.o, error));
        gradient(&page);
        OK(eden_step(page.o, error));
        for (int i = 0; i < N; i++) {
            const double at = theta[i] - lr * beta * v[i];
            v[i] = beta * v[i] + (double)curve[i] * (at - (double)target[i]);
            theta[i] -= lr * v[i];
        }
        close_to("the page's form", step, theta, page.w);
    }
    eden_optimizer_destroy(page.o);
}

/* The preset is the frameworks' form: a plain gradient and no other call. */
static void test_preset(void **state)
{
    problem a;
    float w[N], g[N];
    eden_optimizer *o = NULL;
    (void)state;
    start(&a, "nesterov=1");
    memcpy(w, begin, sizeof w);
    OK(eden_optimizer_create(&o, "nesterov", NULL, error));
    OK(eden_set(o, NULL, "lr", lr, error));
    eden_tensor t = eden_vector(w, g, N);
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    for (int step = 0; step < 5; step++) {
        gradient(&a);
        memcpy(g, a.g, sizeof g);
        OK(eden_step(a.o, error));
        OK(eden_step(o, error));
        assert_memory_equal(a.w, w, sizeof w);
    }
    eden_optimizer_destroy(a.o);
    eden_optimizer_destroy(o);
}

/* lookahead_end() goes back to within one rounding, and the step count stays. */
static void test_going_back(void **state)
{
    problem page;
    (void)state;
    start(&page, "lookahead=1");
    for (int step = 0; step < 3; step++) {
        OK(eden_lookahead_begin(page.o, error));
        gradient(&page);
        OK(eden_step(page.o, error));
    }
    float before[N];
    memcpy(before, page.w, sizeof before);
    OK(eden_lookahead_begin(page.o, error));
    assert_memory_not_equal(before, page.w, sizeof before);
    OK(eden_lookahead_end(page.o, error));
    for (int i = 0; i < N; i++) {
        const float larger = fabsf(before[i]) > 1 ? fabsf(before[i]) : 1;
        assert_true(fabsf(before[i] - page.w[i]) <= larger * 0x1p-22f);
    }
    assert_int_equal(eden_steps(page.o), 3);
    eden_optimizer_destroy(page.o);
}

/* A group beside it that does not look ahead has its gradient where its weights are. */
static void test_one_group_of_two(void **state)
{
    problem page;
    float w[2] = { 3, -4 }, g[2] = { 1, -1 }, before[2];
    eden_tensor t = eden_vector(w, g, 2);
    (void)state;
    start(&page, "lookahead=1");
    OK(eden_add_group(page.o, "still", NULL, "lookahead=0", error));
    OK(eden_add_tensor(page.o, "still", &t, "still", error));
    for (int step = 0; step < 3; step++) {
        memcpy(before, w, sizeof w);
        OK(eden_lookahead_begin(page.o, error));
        assert_memory_equal(before, w, sizeof w);
        OK(eden_lookahead_end(page.o, error));
        assert_memory_equal(before, w, sizeof w);
        OK(eden_lookahead_begin(page.o, error));
        gradient(&page);
        g[0] = 1, g[1] = -1;
        OK(eden_step(page.o, error));
    }
    /* Velocities of 1, 1.9, 2.71. */
    assert_true(fabs((double)w[0] - (3 - lr * 5.61)) < 1e-6 && fabs((double)w[1] + 4 - lr * 5.61) < 1e-6);
    eden_optimizer_destroy(page.o);
}

/* ---- refusals -------------------------------------------------------------------- */

static void refused(const char *what, eden_status status, const eden_error *e, const char *part)
{
    if (status != EDEN_E_ORDER || e->status != EDEN_E_ORDER || !strstr(e->text, part))
        fail_msg("%s: status %d, '%s' without '%s'", what, status, e->text, part);
}

#define REFUSED(call, part)                  \
    do {                                     \
        eden_error e_ = { 0, "" };           \
        const eden_status status_ = call;    \
        refused(#call, status_, &e_, part);  \
    } while (0)

static void test_out_of_order(void **state)
{
    problem page, plain;
    float ahead[N];
    double value;
    (void)state;
    start(&page, "lookahead=1");
    gradient(&page);
    REFUSED(eden_step(page.o, error), "eden_lookahead_begin");
    REFUSED(eden_lookahead_end(page.o, error), "eden_lookahead_begin");
    assert_memory_equal(page.w, begin, sizeof begin);
    assert_int_equal(eden_steps(page.o), 0);

    /* A first step gives the velocity something to look ahead along. */
    OK(eden_lookahead_begin(page.o, error));
    gradient(&page);
    OK(eden_step(page.o, error));
    OK(eden_lookahead_begin(page.o, error));
    memcpy(ahead, page.w, sizeof ahead);
    const char *path = "test_nesterov.safetensors";
    REFUSED(eden_lookahead_begin(page.o, error), "look-ahead");
    REFUSED(eden_set(page.o, NULL, "lr", 0.5, error), "look-ahead");
    REFUSED(eden_set_text(page.o, NULL, "lr=0.5", error), "look-ahead");
    REFUSED(eden_schedule(page.o, NULL, "lr", "warmup(5)", error), "look-ahead");
    REFUSED(eden_save(page.o, path, 0, error), "look-ahead");
    REFUSED(eden_load(page.o, path, 0, error), "look-ahead");
    assert_int_not_equal(access(path, F_OK), 0);
    OK(eden_get(page.o, NULL, "lr", &value, error));
    assert_true(value == lr);
    assert_memory_equal(page.w, ahead, sizeof ahead);
    gradient(&page);
    OK(eden_step(page.o, error));
    OK(eden_set(page.o, NULL, "lr", 0.5, error));
    eden_optimizer_destroy(page.o);

    start(&plain, "nesterov=1");
    REFUSED(eden_lookahead_begin(plain.o, error), "lookahead = 1");
    eden_optimizer_destroy(plain.o);
}

/* Combinations that mean nothing are refused by name at the next step. */
static void test_combinations(void **state)
{
    static const char *const settings[] = {
        "lookahead=1, nesterov=1", "lookahead=1, momentum=0", "nesterov=1, momentum=0",
        "nesterov=1, dampening=0.5", "lookahead=1, weight_decay=0.1, decay=decoupled",
    };
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        problem p;
        eden_error e = { 0, "" };
        start(&p, settings[i]);
        gradient(&p);
        assert_int_equal(eden_step(p.o, &e), EDEN_E_VALUE);
        if (!strstr(e.text, "nesterov") && !strstr(e.text, "lookahead")) fail_msg("%s", e.text);
        assert_memory_equal(p.w, begin, sizeof begin);
        eden_optimizer_destroy(p.o);
    }
}

/* One tensor that looks ahead is enough, whichever of them it is. */
static void test_one_of_many(void **state)
{
    (void)state;
    for (size_t which = 0; which < 3; which++) {
        float w[3] = { 1, 1, 1 }, g[3] = { 1, 1, 1 };
        eden_error e = { 0, "" };
        eden_optimizer *o = NULL;
        assert_int_equal(eden_optimizer_create(&o, "sgd", NULL, &e), EDEN_OK);
        assert_int_equal(eden_add_group(o, "ahead", NULL, NULL, &e), EDEN_OK);
        assert_int_equal(eden_set_text(o, "ahead", "momentum=0.9, lookahead=1", &e), EDEN_OK);
        for (size_t i = 0; i < 3; i++) {
            const char name[2] = { (char)('a' + i), 0 };
            const eden_tensor t = eden_vector(&w[i], &g[i], 1);
            assert_int_equal(eden_add_tensor(o, name, &t, i == which ? "ahead" : NULL, &e), EDEN_OK);
        }
        for (int s = 0; s < 2; s++) {
            assert_int_equal(eden_step(o, &e), EDEN_E_ORDER);
            assert_int_equal(eden_lookahead_begin(o, &e), EDEN_OK);
            assert_int_equal(eden_step(o, &e), EDEN_OK);
        }
        eden_optimizer_destroy(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_views),    cmocka_unit_test(test_page),
        cmocka_unit_test(test_preset),       cmocka_unit_test(test_going_back),
        cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_one_group_of_two),
        cmocka_unit_test(test_one_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
