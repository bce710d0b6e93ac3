/* test_matrices.c - tensors of several matrices: each is factored as if it were alone, norms
 * are the whole tensor's, and a checkpoint knows the difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/eden.h>
#include <math.h>

#include "tests/scratch.h"

#include "tests/ok.h"
#include "tests/rule_tensor.h"

typedef struct {
    size_t matrices, rows, cols;
} shape;

/* Of one element; small, many to a piece, and more than a piece; as large as they are run
 * together, and one more; one row; as large as a panel, and several panels of several pieces. */
static const shape shapes[] = { { 3, 1, 1 },  { 40000, 1, 1 }, { 1, 1, 9 },    { 5, 1, 700 }, { 5, 700, 1 },
                                { 4000, 3, 3 },  { 500, 8, 8 }, { 700, 64, 1 }, { 700, 1, 64 }, { 300, 5, 13 },
                                { 2000, 7, 1 },  { 2, 128, 128 }, { 3, 300, 200 }, { 2, 40, 17000 } };

static const eden_rule *adafactor(double *hypers, double clip, int scaled, double beta1)
{
    const eden_rule *rule = eden_rule_find("adafactor", NULL);
    OK(eden_rule_defaults(rule, hypers, ROOM));
    hypers[eden_rule_hyper_index(rule, "clip")] = clip;
    hypers[eden_rule_hyper_index(rule, "beta1")] = beta1;
    hypers[eden_rule_hyper_index(rule, "scale_parameter")] = scaled;
    if (!scaled) hypers[eden_rule_hyper_index(rule, "eps2")] = 1e-3;
    return rule;
}

static void fill(float *p, float *g, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(int)(seed >> 8 & 0xffff) / 65536.0f - 0.5f;
        g[i] = ((float)(int)(seed >> 16) / 32768.0f - 1) * (float)(1 + i % 7);
    }
}

/* What a tensor of one matrix does is held elsewhere against formulas of its own. */
static void test_each_as_if_alone(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (size_t isa = 0; isa < eden_isa_count(); isa++) {
            const shape s = shapes[k];
            const size_t size = s.rows * s.cols, n = s.matrices * size;
            double hypers[ROOM];
            const eden_rule *rule = adafactor(hypers, 0, 0, k % 2 ? 0.9 : 0);
            tensor all, one;
            if (!eden_isa_runs_here(isa)) continue;
            tensor_init(&all, rule, hypers, (eden_extent){ n, s.rows, s.cols, s.matrices });
            fill(all.array[0], all.grad, n, 7);
            all.call.isa = isa;
            float *first = malloc(n * sizeof *first);
            assert_non_null(first);
            memcpy(first, all.array[0], n * sizeof *first);
            for (uint64_t t = 1; t <= 2; t++) tensor_step(&all, t);
            for (size_t m = 0; m < s.matrices; m += s.matrices > 50 ? 997 : 1) {
                tensor_init(&one, rule, hypers, (eden_extent){ size, s.rows, s.cols, 1 });
                memcpy(one.array[0], first + m * size, size * sizeof(float));
                memcpy(one.grad, all.grad + m * size, size * sizeof(float));
                for (uint64_t t = 1; t <= 2; t++) tensor_step(&one, t);
                for (size_t a = 0; a < one.arrays; a++)
                    assert_memory_equal(all.array[a] + m * one.length[a], one.array[a],
                                        (size_t)one.length[a] * sizeof(float));
                tensor_free(&one);
            }
            free(first);
            tensor_free(&all);
        }
}

/* The first step in doubles: r and c are means of the matrix, norms of the tensor. */
static void test_norms_of_the_tensor(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const shape s = shapes[k];
        const size_t size = s.rows * s.cols, n = s.matrices * size;
        double hypers[ROOM], p2 = 0, u2 = 0, *u = calloc(n, sizeof *u), *r = calloc(s.rows, sizeof *r);
        double *c = calloc(s.cols, sizeof *c);
        tensor x;
        tensor_init(&x, adafactor(hypers, 0.5, 1, 0), hypers, (eden_extent){ n, s.rows, s.cols, s.matrices });
        fill(x.array[0], x.grad, n, 3);
        for (size_t i = 0; i < n; i++) p2 += (double)x.array[0][i] * (double)x.array[0][i];
        for (size_t m = 0; m < s.matrices; m++) {
            const float *g = x.grad + m * size;
            double mean = 0;
            for (size_t i = 0; i < s.rows; i++) r[i] = 0;
            for (size_t j = 0; j < s.cols; j++) c[j] = 0;
            for (size_t i = 0; i < size; i++) {
                const double square = (double)g[i] * (double)g[i] + 1e-30;
                r[i / s.cols] += square / (double)s.cols, c[i % s.cols] += square / (double)s.rows;
                mean += square / (double)size;
            }
            for (size_t i = 0; i < size; i++) {
                u[m * size + i] = (double)g[i] / sqrt(r[i / s.cols] * c[i % s.cols] / mean);
                u2 += u[m * size + i] * u[m * size + i];
            }
        }
        const double a = 1e-2 * fmax(1e-3, sqrt(p2 / (double)n)) / fmax(1, sqrt(u2 / (double)n) / 0.5);
        float *before = malloc(n * sizeof *before);
        memcpy(before, x.array[0], n * sizeof *before);
        tensor_step(&x, 1);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)x.array[0][i] - ((double)before[i] - a * u[i])) <= 1e-6 * a * fabs(u[i]) + 6e-8);
        free(before), free(u), free(r), free(c);
        tensor_free(&x);
    }
}

/* ---- by the optimizer ------------------------------------------------------------------ */

enum { N = 6 * 40 * 50 };

typedef struct {
    float p[N], g[N];
    eden_optimizer *o;
} world;

static void make(world *w, uint32_t flags, uint32_t threads)
{
    eden_config config = EDEN_CONFIG_INIT;
    eden_tensor t = EDEN_TENSOR_INIT;
    config.threads = threads;
    fill(w->p, w->g, N, 5);
    t.data = w->p, t.grad = w->g, t.flags = flags;
    t.ndim = 4, t.shape[0] = 2, t.shape[1] = 3, t.shape[2] = 40, t.shape[3] = 50;
    OK(eden_optimizer_create(&w->o, "adafactor", &config, error));
    OK(eden_add_tensor(w->o, "w", &t, NULL, error));
    OK(eden_step(w->o, error));
}

static void test_threads_and_files(void **state)
{
    static world a, b;
    (void)state;
    const char *path = at("matrices.safetensors");
    make(&a, EDEN_MATRICES, 1), make(&b, EDEN_MATRICES, 3);
    assert_memory_equal(a.p, b.p, sizeof a.p);
    eden_layout layout = EDEN_LAYOUT_INIT;
    OK(eden_state_layout(a.o, "w", "r", &layout, error));
    assert_int_equal(layout.count, 6 * 40);
    OK(eden_state_layout(a.o, "w", "c", &layout, error));
    assert_int_equal(layout.count, 6 * 50);
    OK(eden_save(a.o, path, EDEN_WEIGHTS | EDEN_OPTIM, error));
    OK(eden_step(b.o, error));
    OK(eden_load(b.o, path, EDEN_WEIGHTS | EDEN_OPTIM, error));
    OK(eden_step(a.o, error));
    OK(eden_step(b.o, error));
    assert_memory_equal(a.p, b.p, sizeof a.p);
    eden_optimizer_destroy(b.o);
    make(&b, 0, 1);
    eden_error e = { 0, "" };
    assert_int_equal(eden_load(b.o, path, EDEN_WEIGHTS | EDEN_OPTIM, &e), EDEN_E_MISMATCH);
    assert_non_null(strstr(e.text, "has split = 0 in the file and 1 here"));
    eden_optimizer_destroy(a.o), eden_optimizer_destroy(b.o);
}

/* ---- small ones, stored otherwise ---------------------------------------------------------- */

/* As EDEN_SPLIT rounds: halves go away from 0. */
static uint16_t high(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)((u + 0x8000) >> 16);
}

static float of_high(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Weights that lose nothing take the steps of floats, whatever blocks they are staged in. */
static void test_small_ones_of_16_bits(void **state)
{
    static float p[18000], g[18000];
    static uint16_t p16[18000], g16[18000];
    const shape small[] = { { 18000, 1, 1 }, { 2000, 3, 3 }, { 360, 25, 2 }, { 360, 2, 25 } };
    (void)state;
    for (size_t k = 0; k < 8; k++) {
        const shape s = small[k / 2];
        eden_optimizer *a, *b;
        fill(p, g, 18000, 11);
        for (size_t i = 0; i < 18000; i++)
            p16[i] = high(p[i]), p[i] = of_high(p16[i]), g16[i] = high(g[i]), g[i] = of_high(g16[i]);
        eden_config config = EDEN_CONFIG_INIT;
        config.threads = 2, config.clip_norm = k % 2 ? 3 : 0, config.zero_grad = 1;
        eden_tensor t = EDEN_TENSOR_INIT, t16 = EDEN_TENSOR_INIT;
        t.data = p, t.grad = g, t.flags = EDEN_MATRICES | EDEN_GRAD_WRITABLE;
        t.ndim = 3, t.shape[0] = s.matrices, t.shape[1] = s.rows, t.shape[2] = s.cols;
        t16 = t, t16.data = p16, t16.grad = g16, t16.dtype = t16.grad_dtype = EDEN_BF16, t16.rounding = EDEN_SPLIT;
        OK(eden_optimizer_create(&a, "adafactor", &config, error));
        OK(eden_optimizer_create(&b, "adafactor", &config, error));
        if (k % 2) OK(eden_set(a, NULL, "beta1", 0.5, error));
        if (k % 2) OK(eden_set(b, NULL, "beta1", 0.5, error));
        OK(eden_add_tensor(a, "w", &t, NULL, error));
        OK(eden_add_tensor(b, "w", &t16, NULL, error));
        for (int step = 0; step < 3; step++) {
            OK(eden_step(a, error));
            OK(eden_step(b, error));
            for (size_t i = 0; i < 18000; i++) {
                assert_int_equal(p16[i], high(p[i]));
                assert_true(g[i] == 0 && g16[i] == 0);
                g16[i] = high((float)(int)(i % 101) - 50), g[i] = of_high(g16[i]);
            }
        }
        eden_optimizer_destroy(a), eden_optimizer_destroy(b);
    }
}

static void test_refused(void **state)
{
    (void)state;
    eden_optimizer *o;
    eden_error e = { 0, "" };
    float p[6] = { 0 };
    OK(eden_optimizer_create(&o, "adafactor", NULL, error));
    eden_tensor t = eden_matrix(p, NULL, 2, 3);
    t.flags = EDEN_MATRICES, t.split = 1;
    assert_int_equal(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_SHAPE);
    assert_string_equal(e.text, "tensor 'w': split = 1 has no effect with EDEN_MATRICES; leave it 0");
    t.split = 0, t.ndim = 4, t.shape[0] = UINT64_C(1) << 40, t.shape[1] = 1, t.shape[2] = UINT64_C(1) << 40;
    t.shape[3] = 1;
    assert_int_equal(eden_add_tensor(o, "w", &t, NULL, &e), EDEN_E_SHAPE);
    t.shape[0] = 0, t.shape[1] = 4, t.shape[2] = 5;
    OK(eden_add_tensor(o, "empty", &t, NULL, error));
    t.shape[0] = 4, t.shape[2] = 0;
    OK(eden_add_tensor(o, "of no rows", &t, NULL, error));
    OK(eden_step(o, error));
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_ones_of_16_bits),
        cmocka_unit_test(test_each_as_if_alone),
        cmocka_unit_test(test_norms_of_the_tensor),
        cmocka_unit_test(test_threads_and_files),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
