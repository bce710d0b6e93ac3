/* test_engine_edges.c - wide matrices, sums whose last bit decides, settings at the
 * values between two cases, and the functions that rules compute with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <math.h>

#include "engine/rule.h"
#include "engine/scan.h"
#include "tests/bits.h"
#include "tests/rule_tensor.h"

#define OK(call)                                              \
    do {                                                      \
        eden_error e_ = { 0, "" };                            \
        if ((call) != EDEN_OK) fail_msg("%s: %s", #call, e_.text); \
    } while (0)
#define error (&e_)

/* ---- adafactor's first step ------------------------------------------------------------ */

typedef struct {
    size_t rows, cols;
    double lr, eps1, clip;
    int clamped, scaled;
} first;

/* Of the first step r and c are the means themselves. Clamped as in PyTorch: the mean of
 * r at least eps1, the estimate at least eps1^2. */
static void expect(const first *f, const float *p, const float *g, double *want)
{
    const size_t n = f->rows * f->cols;
    double *r = calloc(f->rows, sizeof *r), *c = calloc(f->cols, sizeof *c), *u = calloc(n, sizeof *u);
    double mean = 0, p2 = 0, u2 = 0;
    assert_true(r && c && u);
    for (size_t i = 0; i < n; i++) {
        const double square = (double)g[i] * (double)g[i] + (f->clamped ? 0 : f->eps1);
        r[i / f->cols] += square / (double)f->cols;
        c[i % f->cols] += square / (double)f->rows;
        mean += square / (double)n;
        p2 += (double)p[i] * (double)p[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double least = f->clamped ? f->eps1 : 0;
        const double v = r[i / f->cols] * c[i % f->cols] / fmax(mean, least);
        u[i] = (double)g[i] / fmax(sqrt(v), least);
        u2 += u[i] * u[i] / (double)n;
    }
    const double a = f->lr * (f->scaled ? fmax(1e-3, sqrt(p2)) : 1);
    const double clip = f->clip > 0 ? fmax(1, sqrt(u2) / f->clip) : 1;
    for (size_t i = 0; i < n; i++) want[i] = (double)p[i] - a * u[i] / clip;
    free(r), free(c), free(u);
}

static void compare(const first *f, const float *p, const float *g)
{
    const size_t n = f->rows * f->cols;
    const eden_rule *rule = eden_rule_find("adafactor", NULL);
    const struct { const char *name; double value; } settings[] = {
        { "lr", f->lr }, { "eps1", f->eps1 }, { "eps1_mode", f->clamped }, { "clip", f->clip },
        { "scale_parameter", f->scaled }, { "relative_step", 0 },
    };
    double h[ROOM], *want = calloc(n, sizeof *want);
    tensor a;
    assert_non_null(want);
    assert_int_equal(eden_rule_defaults(rule, h, ROOM), EDEN_OK);
    for (size_t i = 0; i < 6; i++) h[eden_rule_hyper_index(rule, settings[i].name)] = settings[i].value;
    tensor_init(&a, rule, h, (eden_extent){ n, f->rows, f->cols, 0 });
    memcpy(a.array[0], p, n * sizeof *p);
    memcpy(a.grad, g, n * sizeof *g);
    expect(f, p, g, want);
    tensor_step(&a, 1);
    for (size_t i = 0; i < n; i++)
        if (fabs((double)a.array[0][i] - want[i]) > 1e-6 * (f->lr + fabs(want[i])))
            fail_msg("%zu: %.9g instead of %.9g", i, (double)a.array[0][i], want[i]);
    tensor_free(&a);
    free(want);
}

/* Rows wider than a thread takes at a time: columns are shared out, and each share adds
 * its own parts up. */
static void test_wide(void **state)
{
    enum { ROWS = 2, COLS = 2 * EDEN_CHUNK + 7000, N = ROWS * COLS };
    const first f = { ROWS, COLS, 0.1, 1e-30, 1, 0, 1 };
    float *p = malloc(N * sizeof *p), *g = malloc(N * sizeof *g);
    (void)state;
    assert_true(p && g);
    for (size_t i = 0; i < N; i++)
        p[i] = (float)(mix(i) % 1000) / 500 - 1, g[i] = ((float)(mix(i + N) % 1000) + 1) / (float)(1 + i % 7) / 300;
    compare(&f, p, g);
    free(p), free(g);
}

/* The least root may be 1. Here the mean of r is below it, the estimates on both sides. */
static void test_clamped(void **state)
{
    static const float p[6] = { 1, -1, 2, 0, 0.5f, 3 }, g[6] = { 1.4f, 1.2f, -1.35f, 0.1f, 0.2f, -0.1f };
    first f = { 2, 3, 0.1, 1, 0, 1, 0 };
    (void)state;
    compare(&f, p, g);
    f.eps1 = 0.75, compare(&f, p, g);
    f.clamped = 0, f.eps1 = 1, compare(&f, p, g);
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* A row's sum of squares that is 1 + 2^-24, between two floats, and 32 times 2^-54, each
 * too little to count beside it but not if added up apart: where a gradient is zeroed
 * behind its last use, the passes before that must not cut it into blocks. */
static void sum_rows(int zero_grad, float *r, float *w)
{
    enum { ROWS = 2, COLS = 2048 };
    static float g[ROWS * COLS];
    eden_config c = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    uint64_t count = 0;
    c.zero_grad = (uint32_t)zero_grad;
    for (size_t i = 0; i < ROWS * COLS; i++) w[i] = g[i] = 0;
    g[0] = 1, g[EDEN_LANES] = 0x1p-12f, g[COLS] = 2.625f;
    for (size_t i = COLS / 2; i < COLS; i += EDEN_LANES) g[i] = 0x1p-27f;
    OK(eden_optimizer_create(&o, "adafactor", &c, error));
    OK(eden_set_text(o, NULL, "eps1=0, clip=0, relative_step=0, scale_parameter=0, lr=1", error));
    eden_tensor t = eden_matrix(w, g, ROWS, COLS);
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_step(o, error));
    OK(eden_get_state(o, "w", "r", r, ROWS, &count, error));
    assert_int_equal(count, ROWS);
    for (size_t i = 0; i < ROWS * COLS && zero_grad; i++) assert_true(g[i] == 0);
    eden_optimizer_destroy(o);
}

static void test_zeroing(void **state)
{
    static float plain[2 * 2048], zeroed[2 * 2048];
    float r[2], s[2];
    (void)state;
    sum_rows(0, r, plain);
    sum_rows(1, s, zeroed);
    assert_true(r[0] == 0x1p-11f && r[1] == 2.625f * 2.625f * 0x1p-11f);
    assert_memory_equal(r, s, sizeof r);
    assert_memory_equal(plain, zeroed, sizeof plain);
}

/* Gradients are clamped however they and the state are stored; bf16 holds all of this. */
static void test_clamped_gradients(void **state)
{
    static const uint32_t kinds[] = { EDEN_F32, EDEN_BF16, EDEN_F16 };
    (void)state;
    for (size_t way = 0; way < 9; way++) {
        float w[3] = { 0 }, g[3] = { 3, -0.5f, -8 };
        uint16_t narrow[3];
        eden_config c = EDEN_CONFIG_INIT;
        eden_optimizer *o = NULL;
        eden_tensor t = eden_vector(w, g, 3);
        c.clip_value = 1;
        t.grad_dtype = kinds[way / 3], t.state_dtype = kinds[way % 3];
        assert_int_equal(eden_convert(narrow, t.grad_dtype ? t.grad_dtype : EDEN_BF16, g, EDEN_F32, 3), EDEN_OK);
        if (t.grad_dtype != EDEN_F32) t.grad = narrow;
        OK(eden_optimizer_create(&o, "sgd", &c, error));
        OK(eden_set_text(o, NULL, "lr=1, momentum=0.5", error));
        OK(eden_add_tensor(o, "w", &t, NULL, error));
        for (int step = 0; step < 2; step++) OK(eden_step(o, error));
        assert_true(w[0] == -2.5f && w[1] == 1.25f && w[2] == 2.5f);
        eden_optimizer_destroy(o);
    }
}

/* A look at zeros finds no magnitude, and no norm that nobody wants. */
static void test_scan(void **state)
{
    static const float zeros[100] = { 0 };
    const eden_grad_scale scale = { 1, INFINITY, 1 };
    (void)state;
    for (size_t isa = 0; isa < eden_isa_count(); isa++)
        for (int want_norm = 0; want_norm < 2; want_norm++)
            for (size_t n = 0; n <= 100; n += 50) {
                eden_scan out = { 7, 7 };
                if (!eden_isa_runs_here(isa)) continue;
                eden_scans[isa](zeros, n, &scale, want_norm, &out);
                assert_true(out.norm2 == 0 && out.top == 0);
            }
}

/* ---- functions ---------------------------------------------------------------------------- */

/* Within a unit in the last place of libm's, in long double. */
static void test_functions(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        const double x = ((double)(mix(i) >> 11) * 0x1p-53 - 0.5) * (i % 2 ? 2 : 1390);
        const long double e = expl((long double)x);
        if (fabsl((long double)exponential(x) / e - 1) > 0x1p-52L) fail_msg("e^%a: %a", x, exponential(x));
        const double y = ldexp(1 + (double)(mix(i + 9) >> 12) * 0x1p-52, i % 2 ? (int)(mix(i) % 2000) - 1000 : 0);
        const long double l = logl((long double)y);
        if (fabsl((long double)natural_log(y) - l) > 4 * 0x1p-53L * fabsl(l)) fail_msg("log %a: %a", y, natural_log(y));
    }
    assert_true(exponential(0) == 1 && natural_log(1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide), cmocka_unit_test(test_clamped),   cmocka_unit_test(test_zeroing),
        cmocka_unit_test(test_scan), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_clamped_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
