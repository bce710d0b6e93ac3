/* test_average.c - averages are what their definitions say, and cost the weights no bit. */
#include "tests/stored_run.h"

#include <math.h>

enum { STEPS = 9 };

static eden_config config_of(uint32_t average, double decay, uint64_t start, uint64_t every)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 2;
    c.average = average, c.average_decay = decay, c.average_start = start, c.average_every = every;
    return c;
}

static const eden_config *config(size_t i)
{
    static eden_config all[6];
    all[0] = config_of(EDEN_EMA, 0.9, 0, 0);
    all[1] = config_of(EDEN_EMA, 0.999, 3, 0);
    all[2] = config_of(EDEN_SWA, 0, 0, 0);
    all[3] = config_of(EDEN_SWA, 0, 2, 3);
    all[4] = config_of(EDEN_EMA, 0.5, 1, 2);
    all[5] = config_of(EDEN_SWA, 0, 100, 1);
    return &all[i];
}
enum { CONFIGS = 6, AVERAGING = 5 };

static void average_of(run *r, const char *name, float *values)
{
    uint64_t count = 0;
    OK(eden_get_average(r->o, name, values, COUNT, &count, error));
    assert_int_equal(count, name[0] == 'w' ? COUNT : SMALL);
}

/* ---- values ---------------------------------------------------------------------------- */

/* The weights of one tensor after each step that counts, and their weighted mean. */
typedef struct {
    float *kept[STEPS];
    size_t n;
} history;

static void keep(history *h, const void *weights, size_t count)
{
    h->kept[h->n] = malloc(count * sizeof(float));
    assert_non_null(h->kept[h->n]);
    memcpy(h->kept[h->n++], weights, count * sizeof(float));
}

static void check_mean(const history *h, const eden_config *c, const float *got, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double sum = 0, all = 0, largest = 0;
        for (size_t k = 0; k < h->n; k++) {
            const double part = c->average == EDEN_SWA ? 1 : pow(c->average_decay, (double)(h->n - 1 - k));
            sum += part * (double)h->kept[k][i], all += part;
            largest = fmax(largest, fabs((double)h->kept[k][i]));
        }
        if (fabs(sum / all - (double)got[i]) > largest * (double)h->n * 0x1p-22)
            fail_msg("element %zu of %zu kept: %.9g, not %.9g; largest %g", i, h->n, (double)got[i], sum / all, largest);
    }
}

static void forget(history *h)
{
    while (h->n > 0) free(h->kept[--h->n]);
}

static void test_means(void **state)
{
    static float got[COUNT];
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < AVERAGING; i++) {
            const eden_config *c = config(i);
            const uint64_t start = c->average_start ? c->average_start : 1;
            const uint64_t every = c->average_every ? c->average_every : 1;
            history w = { { 0 }, 0 }, v = { { 0 }, 0 };
            run *r = begin(&ways[k % 2], eden_rule_name(rule), c);
            for (uint64_t t = 1; t <= STEPS; t++) {
                const int takes_part = v_takes_part(r->calls);
                run_step(r);
                if (t < start || (t - start) % every) continue;
                keep(&w, r->data, COUNT);
                if (takes_part) keep(&v, r->data2, SMALL);
                average_of(r, "w", got);
                check_mean(&w, c, got, COUNT);
                if (w.n == 1) assert_memory_equal(got, r->data, sizeof got); /* the first is all */
                if (!v.n) continue;
                average_of(r, "v", got);
                check_mean(&v, c, got, SMALL);
            }
            assert_true(v.n > 0 && v.n < w.n);
            forget(&w), forget(&v), end(r);
        }
}

/* Weights of 16 bits are averaged before they are rounded. */
static void test_before_rounding(void **state)
{
    static float before[COUNT], grad[COUNT], got[COUNT], narrowed[COUNT];
    static uint16_t bits[COUNT];
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        const stored_as *s = &ways[i];
        size_t fine = 0;
        run *r = begin(s, "sgd", config(2));
        widen(s->dtype, r->data, before, COUNT);
        run_gradients(r);
        widen(s->grad, r->grad, grad, COUNT);
        OK(eden_step(r->o, error));
        average_of(r, "w", got);
        for (size_t j = 0; j < COUNT; j++) {
            const double want = (double)before[j] - 0.01 * (double)grad[j];
            if (fabs(want - (double)got[j]) > 4e-7) fail_msg("%s: %g, not %g", s->name, (double)got[j], want);
        }
        narrow(s->dtype == EDEN_F32 ? EDEN_BF16 : s->dtype, got, bits, COUNT);
        widen(s->dtype == EDEN_F32 ? EDEN_BF16 : s->dtype, bits, narrowed, COUNT);
        for (size_t j = 0; j < COUNT; j++) fine += narrowed[j] != got[j];
        assert_true(fine > COUNT / 2); /* what 16 bits cannot hold */
        end(r);
    }
}

/* Masters and split weights are averaged as the floats they stand for. */
static void test_exact_weights(void **state)
{
    static const stored_as floats = { "floats", EDEN_F32, EDEN_BF16, EDEN_F32, EDEN_NEAREST, 0, 0 };
    static float a[COUNT], b[COUNT];
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        if (ways[i].dtype != EDEN_BF16 || (ways[i].rounding != EDEN_MASTER && ways[i].rounding != EDEN_SPLIT))
            continue;
        run *x = begin(&floats, "adamw", config(0)), *y = begin(&ways[i], "adamw", config(0));
        widen(EDEN_BF16, y->data, (float *)(void *)x->data, COUNT); /* the same start */
        for (int t = 0; t < STEPS; t++) run_step(x), run_step(y);
        average_of(x, "w", a), average_of(y, "w", b);
        assert_memory_equal(a, b, sizeof a);
        end(x), end(y);
    }
}

/* ---- bits --------------------------------------------------------------------------------- */

/* No bit of the weights differs from a run without averages. */
static void test_weights_as_without(void **state)
{
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < WAYS; i++) {
            eden_config plain = EDEN_CONFIG_INIT;
            plain.threads = 1;
            run *a = begin(&ways[i], eden_rule_name(rule), &plain);
            run *b = begin(&ways[i], eden_rule_name(rule), config((i + k) % CONFIGS));
            for (int t = 0; t < 4; t++) run_step(a), run_step(b);
            same_runs(a, b, eden_rule_name(rule));
            end(a), end(b);
        }
}

/* Averages and weights for any threads and any instruction set. */
static void test_same_bits(void **state)
{
    static const uint32_t threads[] = { 2, 3, 7 };
    static float x[COUNT], y[COUNT];
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < WAYS; i++) {
            eden_config c = *config((i + k) % AVERAGING);
            c.threads = 1, c.isa = "base";
            run *a = begin(&ways[i], eden_rule_name(rule), &c);
            c.threads = threads[(i + k) % 3], c.isa = eden_isa_name((i + k) % eden_isa_count());
            run *b = begin(&ways[i], eden_rule_name(rule), &c);
            for (int t = 0; t < 5; t++) run_step(a), run_step(b);
            same_runs(a, b, eden_rule_name(rule));
            average_of(a, "w", x), average_of(b, "w", y);
            assert_memory_equal(x, y, sizeof x);
            average_of(a, "v", x), average_of(b, "v", y);
            assert_memory_equal(x, y, SMALL * sizeof *x);
            end(a), end(b);
        }
}

/* The look-ahead point is never averaged, nor is a step that is skipped. */
static void test_only_steps(void **state)
{
    float w[2] = { 0, 0 }, g[2], got[2];
    uint64_t count;
    eden_config c = config_of(EDEN_SWA, 0, 0, 0);
    eden_optimizer *o = NULL;
    eden_tensor t = eden_vector(w, g, 2);
    double sum = 0;
    (void)state;
    c.nonfinite = EDEN_SKIP;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set_text(o, NULL, "lr=0.5,momentum=0.5,lookahead=1", error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    for (int k = 1; k <= 4; k++) {
        OK(eden_lookahead_begin(o, error));
        g[0] = 1, g[1] = NAN;
        OK(eden_step(o, error));
        OK(eden_lookahead_begin(o, error));
        g[0] = 1, g[1] = -1;
        OK(eden_step(o, error));
        sum += (double)w[0];
        OK(eden_get_average(o, "w", got, 2, &count, error));
        assert_true(fabs((double)got[0] - sum / k) < 1e-6 && got[1] == -got[0]);
    }
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),         cmocka_unit_test(test_before_rounding),
        cmocka_unit_test(test_exact_weights), cmocka_unit_test(test_weights_as_without),
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_only_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
