/* test_early.c - tensors that are stepped before the others make the same step. */
#include "tests/stored_run.h"

#include <math.h>

static eden_config applying(void)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.nonfinite = EDEN_APPLY;
    return c;
}

/* ---- the same bits ------------------------------------------------------------------ */

/* Step the tensors of a run whose bits are in `some`, in the order of `order`. */
static void early(run *r, unsigned order, unsigned some, int has_v)
{
    for (unsigned i = 0; i < 2; i++) {
        const unsigned which = order ? 1 - i : i;
        if (!(some >> which & 1) || (which == 1 && !has_v)) continue;
        OK(eden_step_tensor(r->o, which ? "v" : "w", error));
    }
}

static void same_averages(run *a, run *b)
{
    static const char *const names[] = { "w", "v" };
    static float x[COUNT], y[COUNT];
    uint64_t count, n[2];
    for (size_t i = 0; i < 2; i++) {
        OK(eden_get_average(a->o, names[i], x, COUNT, &count, error));
        OK(eden_get_average(b->o, names[i], y, COUNT, &count, error));
        assert_memory_equal(x, y, (size_t)count * sizeof *x);
        OK(eden_tensor_steps(a->o, names[i], &n[0], error));
        OK(eden_tensor_steps(b->o, names[i], &n[1], error));
        assert_int_equal(n[0], n[1]);
    }
}

/* Every rule, every way to store, any threads and instruction set; micro-batches,
 * clipping by value, averages and a schedule. */
static void test_same_bits(void **state)
{
    static const uint32_t threads[] = { 1, 2, 3, 7 };
    const eden_rule *rule;
    unsigned n = 0;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < WAYS; i++, n++) {
            eden_config c = applying();
            c.threads = 1, c.isa = "base";
            c.accumulate = n % 3 ? 1 : 2, c.maximize = n % 2, c.clip_value = n % 5 ? 0 : 0.3;
            c.average = n % 4 == 0 ? EDEN_SWA : EDEN_NO_AVERAGE, c.average_every = n % 4 == 0 ? 2 : 0;
            run *a = begin(&ways[i], eden_rule_name(rule), &c);
            c.threads = threads[n % 4], c.isa = eden_isa_name(n % eden_isa_count());
            run *b = begin(&ways[i], eden_rule_name(rule), &c);
            OK(eden_schedule(a->o, NULL, "lr", "linear(9)", error));
            OK(eden_schedule(b->o, NULL, "lr", "linear(9)", error));
            for (unsigned t = 0; t < 6; t++) {
                const int has_v = v_takes_part(b->calls);
                run_step(a);
                run_gradients(b);
                early(b, (n + t) % 2, (n + t) % 4, has_v);
                OK(eden_step(b->o, error));
                same_runs(a, b, eden_rule_name(rule));
            }
            assert_memory_equal(a->grad, b->grad, sizeof a->grad);
            if (c.average) same_averages(a, b);
            end(a), end(b);
        }
}

/* Step number `order` in a fixed shuffle, of the tensors that can take one. */
static void early_model(model *m, uint64_t seed, int has_b)
{
    const size_t count = eden_tensor_count(m->o);
    for (size_t i = 0, at = mix(seed) % count; i < count; i++, at = (at + 1 + seed % 2 * (count - 2)) % count) {
        const char *name = eden_tensor_name(m->o, at);
        if (strcmp(name, "mean") == 0 || strcmp(name, "empty") == 0) continue;
        if (name[0] == 'b' && !has_b) continue;
        if (mix(seed + i) % 4 > 0) OK(eden_step_tensor(m->o, name, error));
    }
}

/* Groups with rules and schedules of their own, and counts that fall apart. */
static void test_groups(void **state)
{
    const eden_rule *rule;
    const eden_config c = applying();
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++) {
        const char *other = eden_rule_name(eden_rule_at((k + 1) % eden_rule_count()));
        model a, b;
        create(&a, eden_rule_name(rule), other, &c);
        create(&b, eden_rule_name(rule), other, &c);
        for (uint64_t t = 0; t < 12; t++) {
            if (t == 6) { /* a plateau remembers, and settings change in between */
                OK(eden_schedule(a.o, NULL, "lr", "plateau(0.5, 1) * cosine(20)", error));
                OK(eden_schedule(b.o, NULL, "lr", "plateau(0.5, 1) * cosine(20)", error));
            }
            OK(train_once(&a, error));
            const uint64_t step = eden_steps(b.o) + 1;
            OK(eden_set_grad(b.o, "b\xc3\xa9\\", step % 3 ? b.gb : NULL, error));
            OK(eden_zero_grad(b.o, error));
            gradient(b.gw, b.w, W, b.micro * 3);
            gradient(b.gk, b.k, K, b.micro * 3 + 1);
            gradient(b.gb, b.b, B, b.micro * 3 + 2);
            b.micro++;
            early_model(&b, t, step % 3 != 0);
            OK(eden_step(b.o, error));
            b.mean[b.micro % MEAN] += 0.5f;
            OK(eden_report(b.o, (double)(mix(b.micro) % 100), error));
            OK(eden_save(a.o, file("a"), 0, error));
            OK(eden_save(b.o, file("b"), 0, error));
            same_files(file("a"), file("b"), eden_rule_name(rule));
        }
        destroy(&a), destroy(&b);
    }
}

/* One gradient's memory for all tensors, and none left at the end of the step. */
static void test_shared_gradient(void **state)
{
    enum { N = 1000 };
    static float a[3][N], b[3][N], ga[3][N], gb[N];
    static const char *const names[] = { "0", "1", "2" };
    eden_config c = applying();
    eden_optimizer *x = NULL, *y = NULL;
    (void)state;
    OK(eden_optimizer_create(&x, "adamw", &c, error));
    OK(eden_optimizer_create(&y, "adamw", &c, error));
    for (int i = 0; i < 3; i++) {
        const eden_tensor s = eden_vector(a[i], ga[i], N), t = eden_vector(b[i], NULL, N);
        OK(eden_add_tensor(x, names[i], &s, NULL, error));
        OK(eden_add_tensor(y, names[i], &t, NULL, error));
    }
    for (uint64_t t = 0; t < 5; t++) {
        for (int i = 2; i >= 0; i--) {
            fill(ga[i], N, t * 3 + (uint64_t)i);
            memcpy(gb, ga[i], sizeof gb);
            OK(eden_set_grad(y, names[i], gb, error));
            OK(eden_step_tensor(y, names[i], error));
            OK(eden_set_grad(y, names[i], NULL, error));
            memset(gb, 0xff, sizeof gb);
        }
        assert_int_equal(eden_steps(y), t);
        OK(eden_step(x, error));
        OK(eden_step(y, error));
        assert_memory_equal(a, b, sizeof a);
        uint64_t steps = 0;
        OK(eden_tensor_steps(y, "2", &steps, error));
        assert_true(eden_steps(y) == t + 1 && steps == t + 1);
    }
    eden_optimizer_destroy(x), eden_optimizer_destroy(y);
}

/* At once, against the formula: the weights of the one tensor and no other. */
static void test_at_once(void **state)
{
    float a[1] = { 1 }, b[1] = { 2 }, ga[1] = { 0.5f }, gb[1] = { 0.25f };
    eden_config c = applying();
    eden_optimizer *o = NULL;
    const eden_tensor s = eden_vector(a, ga, 1), t = eden_vector(b, gb, 1);
    (void)state;
    c.zero_grad = 1, c.accumulate = 2;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_add_tensor(o, "a", &s, NULL, error));
    OK(eden_add_tensor(o, "b", &t, NULL, error));
    for (int twice = 0; twice < 2; twice++) OK(eden_step_tensor(o, "a", error)); /* only counts */
    OK(eden_step(o, error));
    assert_true(a[0] == 1 && ga[0] == 0.5f);
    OK(eden_step_tensor(o, "a", error));
    assert_true(a[0] == 0.75f && ga[0] == 0 && b[0] == 2 && gb[0] == 0.25f);
    OK(eden_step(o, error));
    assert_true(a[0] == 0.75f && b[0] == 1.875f && gb[0] == 0);
    assert_int_equal(eden_steps(o), 1);
    eden_optimizer_destroy(o);
}

static double count_calls(uint64_t step, void *calls)
{
    (void)step;
    return ++*(int *)calls;
}

/* All tensors of a step have the schedule's one answer. */
static void test_schedule_once(void **state)
{
    float a[1] = { 0 }, b[1] = { 0 }, g[1] = { 1 };
    const eden_tensor s = eden_vector(a, g, 1), t = eden_vector(b, g, 1);
    const eden_config c = applying();
    eden_optimizer *o = NULL;
    int calls = 0;
    (void)state;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_schedule_custom(o, NULL, "lr", count_calls, &calls, error));
    OK(eden_add_tensor(o, "a", &s, NULL, error));
    OK(eden_add_tensor(o, "b", &t, NULL, error));
    for (int k = 1; k < 4; k++) {
        OK(eden_step_tensor(o, "b", error));
        OK(eden_step(o, error));
        assert_true(calls == k && a[0] == b[0] && (double)a[0] == -k * (k + 1) / 2.0);
    }
    eden_optimizer_destroy(o);
}

/* ---- refused --------------------------------------------------------------------------- */

static void refuse_under(const eden_config *c, const char *settings, eden_status want, const char *part)
{
    float w[1] = { 1 }, g[1] = { 1 };
    eden_optimizer *o = NULL;
    const eden_tensor t = eden_vector(w, g, 1);
    OK(eden_optimizer_create(&o, "momentum", c, error));
    OK(eden_set_text(o, NULL, settings, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    REFUSED(eden_step_tensor(o, "w", error), want, part);
    assert_true(w[0] == 1);
    if (!*settings) OK(eden_step(o, error)); /* the step is not open */
    OK(eden_set(o, NULL, "lr", 0.5, error));
    eden_optimizer_destroy(o);
}

static void test_config(void **state)
{
    eden_config c = applying();
    (void)state;
    refuse_under(&c, "lookahead=1", EDEN_E_ARGUMENT, "lookahead = 1 moves all weights before any gradient");
    c.clip_norm = 1;
    refuse_under(&c, "", EDEN_E_ARGUMENT, "config.clip_norm needs the norm of all gradients first; use clip_value");
    c.clip_norm = 0, c.nonfinite = EDEN_SKIP;
    refuse_under(&c, "", EDEN_E_ARGUMENT, "config.nonfinite has to be EDEN_APPLY");
    c.nonfinite = EDEN_REFUSE;
    refuse_under(&c, "", EDEN_E_ARGUMENT, "config.nonfinite has to be EDEN_APPLY");
    c.loss_scale = 0.5;
    refuse_under(&c, "", EDEN_E_ARGUMENT, "config.loss_scale skips a step whose gradients overflow");
    c.loss_scale = 2;
    refuse_under(&c, "", EDEN_E_ARGUMENT, "config.loss_scale skips a step whose gradients overflow");
}

static void refuse_within(eden_optimizer *o)
{
    const eden_tensor none = eden_vector(NULL, NULL, 0);
#define OPEN(name, call) REFUSED(call, EDEN_E_ORDER, name ": step 3 is open, since eden_step_tensor() has updated")
    OPEN("eden_save", eden_save(o, file("a"), 0, error));
    OPEN("eden_save", eden_save(o, file("a"), EDEN_WEIGHTS, error));
    OPEN("eden_load", eden_load(o, file("a"), 0, error));
    OPEN("eden_set", eden_set(o, NULL, "lr", 1, error));
    OPEN("eden_set_text", eden_set_text(o, NULL, "lr=1", error));
    OPEN("eden_schedule", eden_schedule(o, NULL, "lr", "cosine(9)", error));
    OPEN("eden_schedule", eden_schedule(o, NULL, "lr", NULL, error));
    OPEN("eden_schedule", eden_schedule_custom(o, NULL, "lr", count_calls, NULL, error));
    OPEN("eden_report", eden_report(o, 1, error));
    OPEN("eden_add_group", eden_add_group(o, "g", NULL, NULL, error));
    OPEN("eden_add_tensor", eden_add_tensor(o, "u", &none, NULL, error));
    OPEN("eden_zero_grad", eden_zero_grad(o, error));
    OPEN("eden_swap_average", eden_swap_average(o, error));
    OPEN("eden_lookahead_begin", eden_lookahead_begin(o, error));
    REFUSED(eden_lookahead_end(o, error), EDEN_E_ORDER, "eden_lookahead_begin() has not been called");
    REFUSED(eden_step_tensor(o, "w", error), EDEN_E_ORDER, "'w' has been updated in step 3 already");
}

static void test_order(void **state)
{
    eden_config c = applying();
    (void)state;
    c.average = EDEN_SWA;
    run *r = begin(&ways[0], "adam", &c), *twin = begin(&ways[0], "adam", &c);
    for (int t = 0; t < 2; t++) run_step(r), run_step(twin); /* the second leaves "v" out */
    REFUSED(eden_step_tensor(r->o, "u", error), EDEN_E_NAME, "no tensor is called 'u'");
    REFUSED(eden_step_tensor(r->o, NULL, error), EDEN_E_ARGUMENT, "a tensor's name is NULL");
    REFUSED(eden_step_tensor(r->o, "v", error), EDEN_E_ARGUMENT, "'v' has no gradient; say where it is");
    OK(eden_swap_average(r->o, error));
    REFUSED(eden_step_tensor(r->o, "w", error), EDEN_E_ORDER, "eden_step_tensor: the averages are where");
    OK(eden_swap_average(r->o, error));
    run_gradients(r), run_gradients(twin);
    OK(eden_step_tensor(r->o, "w", error));
    refuse_within(r->o);
    OK(eden_step(r->o, error));
    OK(eden_step(twin->o, error));
    same_runs(r, twin, "after refusals");
    OK(eden_set(r->o, NULL, "lr", 0.5, error));
    end(r), end(twin);
}

/* A step that cannot be completed stays open. */
static void test_stays_open(void **state)
{
    float a[1] = { 1 }, b[1] = { 1 }, f[1] = { 1 }, g[3] = { 0.5f, 0.5f, 0.5f };
    eden_config c = applying();
    eden_optimizer *o = NULL;
    eden_tensor t = eden_vector(a, &g[0], 1);
    (void)state;
    c.zero_grad = 1;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_set(o, NULL, "lr", 1, error));
    OK(eden_add_tensor(o, "a", &t, NULL, error));
    t.data = b, t.grad = &g[1], t.flags = 0;
    OK(eden_add_tensor(o, "b", &t, NULL, error));
    t.data = f, t.grad = &g[2], t.flags = EDEN_FROZEN | EDEN_GRAD_WRITABLE;
    OK(eden_add_tensor(o, "f", &t, NULL, error));
    REFUSED(eden_step_tensor(o, "b", error), EDEN_E_ARGUMENT, "the gradient of 'b' is read-only");
    REFUSED(eden_step_tensor(o, "f", error), EDEN_E_ARGUMENT, "'f' is frozen and takes no steps");
    OK(eden_step_tensor(o, "a", error));
    assert_true(g[0] == 0);
    g[0] = 42; /* it is somebody else's memory now */
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the gradient of 'b' is read-only");
    REFUSED(eden_set(o, NULL, "lr", 2, error), EDEN_E_ORDER, "step 1 is open");
    OK(eden_set_grad(o, "b", NULL, error));
    OK(eden_step(o, error));
    assert_true(a[0] == 0.5f && b[0] == 1 && f[0] == 1 && g[0] == 42 && g[2] == 0);
    assert_int_equal(eden_steps(o), 1);
    eden_optimizer_destroy(o);
}

static void test_overflow(void **state)
{
    static const char most[] = "18446744073709551615";
    eden_config c = applying();
    model m;
    (void)state;
    create(&m, "sgd", "adam", &c);
    train(&m, 1);
    OK(eden_save(m.o, file("a"), 0, error));
    OK(eden_load(m.o, changed(file("a"), (change){ .key = "eden.steps", .value = most }), 0, error));
    REFUSED(eden_step_tensor(m.o, "layer.0/w", error), EDEN_E_OVERFLOW, "the optimizer has taken 2^64 - 1 steps");
    destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),       IN_FOLDER(test_groups),
        cmocka_unit_test(test_shared_gradient), cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_config),          IN_FOLDER(test_order),
        cmocka_unit_test(test_schedule_once),   cmocka_unit_test(test_stays_open),
        IN_FOLDER(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
