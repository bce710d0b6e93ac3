/* test_loops.c - the loops beside products: the same bits on every instruction set, and
 * values against the formulas in double. */
#include "lab/loops.h"

#include <eden/core.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lab/fast.h"
#include "lab/random.h"

enum { MOST = 1003, LOOPS = 11 }; /* 1,003 ends in the middle of a vector */

static float input[MOST], other[MOST];

static int set_up(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < MOST; i++) {
        input[i] = (float)(24 * lab_random_uniform(1, i) - 12);
        other[i] = (float)lab_random_uniform(2, i);
    }
    input[7] = INFINITY, input[8] = -INFINITY, input[9] = NAN, input[10] = 0, input[11] = -1e30f;
    return 0;
}

/* All loops one after another. */
static void all_of(const lab_loops *l, float out[LOOPS][MOST], uint64_t n)
{
    static unsigned char which[MOST / 2];
    for (int i = 0; i < LOOPS; i++) memcpy(out[i], input, sizeof input);
    l->gelu(out[0], n);
    l->gelu_slopes(out[1], out[2], n);
    l->exponentials(out[3], n, 5, 0.25f);
    l->scale(out[4], n, 0.3f);
    l->softmax_back(out[5], other, n, 0.7f, 0.2f);
    l->add(out[6], other, n);
    l->multiply(out[6], other, n);
    l->sum(out[7], input, other, n);
    l->pool(out[8], which, input, other, n / 2);
    l->pool_back(out[9], out[10], input, which, n / 2);
}

static void test_same_bits(void **state)
{
    static float want[LOOPS][MOST], have[LOOPS][MOST];
    const lab_loops *loops;
    size_t i = 0;
    (void)state;
    for (; (loops = lab_loops_at(i)) != NULL; i++) {
        assert_string_equal(loops->isa, eden_isa_name(i));
        if (!eden_isa_runs_here(i)) continue;
        for (uint64_t n = MOST - 20; n <= MOST; n++) {
            all_of(lab_loops_at(0), want, n);
            all_of(loops, have, n);
            for (int k = 0; k < LOOPS; k++)
                for (uint64_t e = 0; e < MOST; e++)
                    if (memcmp(&want[k][e], &have[k][e], 4) != 0 && !(isnan(want[k][e]) && isnan(have[k][e])))
                        fail_msg("loop %d of %s differs in element %d of %d", k, loops->isa, (int)e,
                                 (int)n);
        }
    }
    assert_int_equal(i, eden_isa_count());
    assert_string_equal(lab_loops_best()->isa, eden_isa_name(eden_isa_best()));
}

static void near(double have, double want, double unit, const char *what, double at)
{
    if (!(fabs(have - want) <= unit * fmax(1, fabs(want))))
        fail_msg("%s at %g is %.9g instead of %.9g", what, at, have, want);
}

/* The normal distribution in the tanh form, and its derivative, as in the paper. */
static void test_gelu(void **state)
{
    float y[MOST], slope[MOST], plain[MOST];
    (void)state;
    for (int i = 0; i < MOST; i++) y[i] = plain[i] = (float)(i - 500) * 0.02f;
    lab_loops_best()->gelu_slopes(y, slope, MOST);
    lab_loops_best()->gelu(plain, MOST);
    for (int i = 0; i < MOST; i++) {
        const double x = (double)((float)(i - 500) * 0.02f), root = sqrt(2 / acos(-1));
        const double t = tanh(root * (x + 0.044715 * x * x * x));
        near((double)y[i], 0.5 * x * (1 + t), 1e-6, "gelu", x);
        near((double)slope[i], 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x),
             2e-6, "its slope", x);
        assert_memory_equal(&y[i], &plain[i], sizeof *y);
    }
}

static void test_exponential(void **state)
{
    (void)state;
    for (int i = -870000; i <= 880000; i++) {
        const float x = (float)i * 1e-4f;
        const double off = fabs((double)lab_exp_float(x) / exp((double)x) - 1);
        if (!(off < 3e-7)) fail_msg("e^%g is off by %g", (double)x, off);
    }
    assert_true(lab_exp_float(0) == 1);
    assert_true(isnan(lab_exp_float(NAN)));
    assert_true(lab_exp_float(-INFINITY) < 1.7e-38f && lab_exp_float(INFINITY) > 1e38f);
}

/* Numbers of few kinds, so that many of the four are equal: the first of them is it. */
static void test_pool(void **state)
{
    enum { N = 157 };
    float lines[2][2 * N], back[2][2 * N], y[N];
    unsigned char which[N];
    (void)state;
    for (uint64_t i = 0; i < 4 * N; i++)
        lines[i / (2 * N)][i % (2 * N)] = (float)lab_random_below(3, i, 3) - 1;
    lab_loops_best()->pool(y, which, lines[0], lines[1], N);
    lab_loops_best()->pool_back(back[0], back[1], other, which, N);
    for (int i = 0; i < N; i++) {
        int best = 0;
        for (int k = 1; k < 4; k++)
            if (lines[k / 2][2 * i + k % 2] > lines[best / 2][2 * i + best % 2]) best = k;
        assert_int_equal(which[i], best);
        assert_true(y[i] == lines[best / 2][2 * i + best % 2]);
        for (int k = 0; k < 4; k++) assert_true(back[k / 2][2 * i + k % 2] == (k == best ? other[i] : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_bits),
                                        cmocka_unit_test(test_gelu), cmocka_unit_test(test_pool),
                                        cmocka_unit_test(test_exponential) };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
