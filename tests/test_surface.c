/* test_surface.c - surfaces are the functions their names promise, and paths over them
 * what can be computed by hand. */
#include "lab/surface.h"
#include "lab/trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/ok.h"

static const lab_surface *named(const char *name)
{
    const lab_surface *surface = lab_surface_find(name);
    if (!surface) fail_msg("there is no surface %s", name);
    return surface;
}

/* ---- functions ------------------------------------------------------------------------- */

/* Values from the definitions, worked out by hand or in the literature. */
static void test_values(void **state)
{
    static const struct { const char *name; double w[2], value; } known[] = {
        { "ravine", { 3, 2 }, 184.5 },         { "rosenbrock", { -1.2, 1 }, 24.2 },
        { "rosenbrock", { 0, 0 }, 1 },         { "beale", { 0, 0 }, 14.203125 },
        { "beale", { 1, 2 }, 126.453125 },     { "himmelblau", { 0, 0 }, 170 },
        { "himmelblau", { -0.270845, -0.923039 }, 181.617 },
        { "saddle", { 0, 0 }, 0.25 },          { "saddle", { 2, 3 }, 32 },
        { "plateau", { 2, 1 }, 0.75 },         { "noisy", { 2, -1 }, 7 },
        { "slope", { 2, 2 }, 2 },              { "first-steps", { 3, -1 }, 5.5 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const double got = named(known[i].name)->value(known[i].w);
        if (fabs(got - known[i].value) > 1e-3 * (i == 6) + 1e-12 * known[i].value)
            fail_msg("%s: %.17g, not %g", known[i].name, got, known[i].value);
    }
}

/* Central differences at points all over the picture. */
static void test_gradients(void **state)
{
    const lab_surface *s;
    const double h = 1e-5;
    (void)state;
    for (size_t i = 0; (s = lab_surface_at(i)); i++)
        for (int k = 0; k < 121; k++) {
            const double w[2] = { s->low[0] + (s->high[0] - s->low[0]) * (k % 11 + 0.3) / 11,
                                  s->low[1] + (s->high[1] - s->low[1]) * (k / 11 + 0.7) / 11 };
            double g[2];
            s->gradient(w, g);
            for (int axis = 0; axis < 2; axis++) {
                double a[2] = { w[0], w[1] }, b[2] = { w[0], w[1] };
                a[axis] -= h, b[axis] += h;
                const double want = (s->value(b) - s->value(a)) / (2 * h);
                if (fabs(want - g[axis]) > 1e-6 * (1 + fabs(want)))
                    fail_msg("%s at (%g, %g), axis %d: %.9g, not %.9g", s->name, w[0], w[1], axis,
                             g[axis], want);
            }
        }
}

static void test_minima(void **state)
{
    const lab_surface *s;
    (void)state;
    for (size_t i = 0; (s = lab_surface_at(i)); i++) {
        assert_true(s->minimum_count > 0 && s->minimum_count <= LAB_MINIMA);
        for (size_t k = 0; k < s->minimum_count; k++) {
            double g[2];
            s->gradient(s->minima[k], g);
            if (s->value(s->minima[k]) > 1e-20 || fabs(g[0]) + fabs(g[1]) > 1e-9)
                fail_msg("%s has no minimum number %zu", s->name, k);
            assert_true(lab_surface_distance(s, s->minima[k]) == 0);
        }
        for (int k = 0; k < 10000; k++) { /* and no place is below 0, or at it elsewhere */
            const double w[2] = { s->low[0] + (s->high[0] - s->low[0]) * (k % 100) / 99,
                                  s->low[1] + (s->high[1] - s->low[1]) * (k / 100) / 99 };
            if (!(s->value(w) > 0) && lab_surface_distance(s, w) > 1e-6)
                fail_msg("%s is %g at (%g, %g)", s->name, s->value(w), w[0], w[1]);
        }
        assert_true(lab_surface_distance(s, s->start) > s->near);
        assert_true(s->start[0] > s->low[0] && s->start[0] < s->high[0]);
        assert_true(s->start[1] > s->low[1] && s->start[1] < s->high[1]);
    }
    const double near[2] = { 3, 2.5 }, between[2] = { 0.6, 1 };
    assert_true(lab_surface_distance(named("himmelblau"), near) == 0.5);
    assert_true(fabs(lab_surface_distance(named("saddle"), between) - 0.6) < 1e-15);
}

/* Noise is a function of seed and step, right in mean and spread; others have none. */
static void test_noise(void **state)
{
    const lab_surface *s;
    enum { COUNT = 20000 };
    (void)state;
    for (size_t i = 0; (s = lab_surface_at(i)); i++) {
        double plain[2], one[2], again[2], other[2], sum = 0, squares = 0, both = 0, next = 0, before = 0;
        s->gradient(s->start, plain);
        lab_surface_slope(s, s->start, 1, 7, one);
        lab_surface_slope(s, s->start, 1, 7, again);
        lab_surface_slope(s, s->start, 2, 7, other);
        assert_memory_equal(one, again, sizeof one);
        assert_int_equal(!memcmp(one, plain, sizeof one), !(s->noise > 0));
        assert_int_equal(!memcmp(one, other, sizeof one), !(s->noise > 0));
        for (uint64_t k = 1; s->noise > 0 && k <= COUNT; k++) {
            lab_surface_slope(s, s->start, 1, k, one);
            const double a = one[0] - plain[0], b = one[1] - plain[1];
            sum += a + b, squares += a * a + b * b, both += a * b;
            next += before * a, before = b;
        }
        if (!(s->noise > 0)) continue;
        assert_true(fabs(sum / (2 * COUNT)) < 5 * s->noise / sqrt(2 * COUNT));
        assert_true(fabs(squares / (2 * COUNT) / (s->noise * s->noise) - 1) < 0.05);
        assert_true(fabs(both / COUNT / (s->noise * s->noise)) < 0.05);
        assert_true(fabs(next / COUNT / (s->noise * s->noise)) < 0.05); /* from step to step */
    }
}

/* ---- paths ----------------------------------------------------------------------------- */

/* Plain descent in the ravine: x is multiplied by 1 - lr and y by 1 - 90 lr. */
static void test_descent(void **state)
{
    lab_trace t;
    double length = 0, reached = 0;
    uint64_t turns = 0;
    (void)state;
    OK(lab_trace_run(&t, named("ravine"), "sgd", "lr=0.02", 300, 1, error));
    assert_int_equal(t.count, 301);
    for (int k = 0; k <= 300; k++) {
        const double x = -8 * pow(0.98, k), y = pow(-0.8, k);
        const double dx = 0.02 * 8 * pow(0.98, k), dy = -1.8 * y;
        if (fabs(t.points[k].w[0] - x) > 1e-4 || fabs(t.points[k].w[1] - y) > 1e-4)
            fail_msg("step %d: (%g, %g), not (%g, %g)", k, t.points[k].w[0], t.points[k].w[1], x, y);
        assert_true(fabs(t.points[k].distance - sqrt(x * x + y * y)) < 1e-4);
        assert_true(fabs(t.points[k].loss - (x * x + 90 * y * y) / 2) < 1e-3);
        if (k < 300) length += sqrt(dx * dx + dy * dy);
        /* The next step's components are these times 0.98 and -0.8. */
        turns += k < 216 && 0.98 * dx * dx - 0.8 * dy * dy < 0;
        if (sqrt(x * x + y * y) > 0.1) reached = k + 1;
    }
    assert_true(fabs(t.length - length) < 1e-3);
    assert_int_equal(t.turns, turns);
    assert_int_equal(t.reached_at, 217); /* 8 * 0.98^k <= 0.1 */
    assert_true(reached == 217);
    assert_true(turns > 5 && reached > 200 && t.diverged_at == 0);
    lab_trace_free(&t);
}

/* At lr = 1 y is multiplied by -89, and 89^2 is out of reach of the picture. */
static void test_divergence(void **state)
{
    lab_trace t;
    (void)state;
    OK(lab_trace_run(&t, named("ravine"), "sgd", "lr=1", 300, 1, error));
    assert_int_equal(t.diverged_at, 2);
    assert_int_equal(t.count, 3);
    assert_true(t.points[2].w[1] == 7921 && t.reached_at == 0);
    lab_trace_free(&t);
    OK(lab_trace_run(&t, named("beale"), "sgd", "lr=1e38", 300, 1, error)); /* no float holds it */
    assert_int_equal(t.diverged_at, 1);
    assert_int_equal(t.count, 1); /* so it is no point of the path */
    lab_trace_free(&t);
    OK(lab_trace_run(&t, named("ravine"), "sgd", "lr=1,momentum=0.9,lookahead=1", 300, 1, error));
    assert_true(t.diverged_at > 0);
    lab_trace_free(&t);
}

/* The gradient is taken at the look-ahead point: Nesterov's recurrence in double. */
static void test_lookahead(void **state)
{
    lab_trace t;
    double w[2] = { -3, 2 }, v[2] = { 0, 0 };
    (void)state;
    OK(lab_trace_run(&t, named("first-steps"), "sgd", "lr=0.1,momentum=0.9,lookahead=1", 40, 1, error));
    for (int k = 1; k <= 40; k++) {
        for (int i = 0; i < 2; i++) {
            v[i] = 0.9 * v[i] + (i + 1) * (w[i] - 0.1 * 0.9 * v[i]);
            w[i] -= 0.1 * v[i];
        }
        assert_true(fabs(t.points[k].w[0] - w[0]) < 1e-5 && fabs(t.points[k].w[1] - w[1]) < 1e-5);
    }
    lab_trace_free(&t);
}

/* Every rule has a rate for every surface, does not diverge with it and, where rates are
 * tuned, ends nearer than it began. */
static void test_rates(void **state)
{
    const lab_surface *s;
    const eden_rule *rule;
    (void)state;
    for (size_t i = 0; (s = lab_surface_at(i)); i++) {
        assert_true(*lab_surface_shown(s->name) != '\0');
        for (size_t k = 0; (rule = eden_rule_at(k)); k++) {
            char text[64];
            const char *source = NULL;
            lab_trace t, again;
            const double rate = lab_surface_rate(s->name, eden_rule_name(rule), &source);
            if (!(rate > 0) || !source) fail_msg("%s has no rate on %s", eden_rule_name(rule), s->name);
            snprintf(text, sizeof text, "lr=%g", rate);
            OK(lab_trace_run(&t, s, eden_rule_name(rule), text, s->steps, 1, error));
            OK(lab_trace_run(&again, s, eden_rule_name(rule), text, s->steps, 1, error));
            assert_int_equal(t.diverged_at, 0);
            assert_true(t.points[t.count - 1].distance < 0.9 * t.points[0].distance);
            assert_memory_equal(t.points, again.points, t.count * sizeof *t.points);
            lab_trace_free(&t);
            lab_trace_free(&again);
        }
    }
    const char *source;
    assert_true(lab_surface_rate("ravine", "nobody", &source) == 0);
    assert_null(lab_surface_find("nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_minima),  cmocka_unit_test(test_noise),
        cmocka_unit_test(test_descent), cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_lookahead), cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
