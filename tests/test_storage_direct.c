/* test_storage_direct.c - weights, gradient and state all in bf16, which kernels take as
 * they are, go exactly where the same go that pass through buffers: those of a tensor
 * that has a copy of its weights besides. Odd lengths, at odd places in memory. */
#include <stdlib.h>
#include <string.h>

#include "engine/codec.h"
#include "ok.h"

/* Vectors end at 8, 16 and 32, blocks at 256, staging at 1024, chunks at 16384. */
static const struct { uint64_t rows, cols; } shapes[] = {
    { 1, 1 },    { 1, 7 },   { 1, 31 },    { 1, 33 },    { 1, 65 },   { 1, 257 },   { 1, 1023 },
    { 1, 1025 }, { 3, 129 }, { 40, 5 },    { 5, 1100 },  { 130, 140 }, { 1, 16385 }, { 1, 40003 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST = 40003, STEPS = 3, GUARD = 0x7fc5 };

typedef struct {
    eden_optimizer *o;
    uint16_t *all, *data, *grad, *copy; /* data and grad begin at odd 16-bit places of `all` */
    uint64_t count;
} model;

static float value(uint64_t k)
{
    k = (k ^ k >> 30) * 0xbf58476d1ce4e5b9u;
    k = (k ^ k >> 27) * 0x94d049bb133111ebu;
    return (float)((double)(k >> 40) / (1 << 23) - 1);
}

static void fill(uint16_t *to, uint64_t n, uint64_t seed)
{
    static float x[MOST];
    for (uint64_t i = 0; i < n; i++) x[i] = value(i * 31 + seed);
    eden_codecs[0][EDEN_CODEC_BF16].store(x, to, NULL, (size_t)n);
}

/* What a gradient still needs as it is loaded: nothing, a factor, or a clamp as well. */
static void scale(eden_config *c, int kind)
{
    if (kind == 1) c->maximize = 1;
    if (kind == 2) c->clip_value = 0.25;
}

static model begin(const char *rule, size_t shape, int kind, int zero, const char *isa, int copy)
{
    const uint64_t rows = shapes[shape].rows, cols = shapes[shape].cols, n = rows * cols;
    model m = { .count = n };
    eden_config c = EDEN_CONFIG_INIT;
    m.all = malloc((size_t)(2 * n + 3) * sizeof *m.all);
    m.copy = calloc((size_t)n, sizeof *m.copy);
    assert_true(m.all && m.copy);
    m.data = m.all + 1, m.grad = m.data + n + 1 + (n + 1) % 2;
    m.all[0] = m.data[n] = GUARD;
    fill(m.data, n, 7);
    scale(&c, kind);
    c.threads = 1, c.isa = isa, c.zero_grad = (uint32_t)zero;
    eden_tensor t = rows == 1 ? eden_vector(NULL, NULL, n) : eden_matrix(NULL, NULL, rows, cols);
    t.data = m.data, t.grad = m.grad, t.copy = copy ? m.copy : NULL;
    t.dtype = t.grad_dtype = t.state_dtype = EDEN_BF16;
    t.copy_dtype = copy ? EDEN_BF16 : 0;
    OK(eden_optimizer_create(&m.o, rule, &c, error));
    OK(eden_set(m.o, NULL, "lr", 0.01, error));
    OK(eden_add_tensor(m.o, "w", &t, NULL, error));
    return m;
}

static void step(model *m, uint64_t t)
{
    fill(m->grad, m->count, 1000003 * t);
    OK(eden_step(m->o, error));
}

static void end(model *m)
{
    eden_optimizer_destroy(m->o);
    free(m->all), free(m->copy);
}

static void same_state(const eden_rule *rule, const model *a, const model *b)
{
    static float x[MOST], y[MOST];
    const eden_slot *slot;
    uint64_t n, k;
    for (size_t i = 0; (slot = eden_rule_slot(rule, i)) != NULL; i++) {
        if (slot->kind != EDEN_STATE || eden_get_state(a->o, "w", slot->name, x, MOST, &n, NULL)) continue;
        OK(eden_get_state(b->o, "w", slot->name, y, MOST, &k, error));
        if (n != k || memcmp(x, y, (size_t)n * sizeof *x))
            fail_msg("%s, %s of %llu: other bits", eden_rule_name(rule), slot->name,
                     (unsigned long long)a->count);
    }
}

static void compare(const eden_rule *rule, size_t shape, int kind, int zero, const char *isa)
{
    model a = begin(eden_rule_name(rule), shape, kind, zero, isa, 0);
    model b = begin(eden_rule_name(rule), shape, kind, zero, isa, 1);
    const size_t bytes = (size_t)a.count * sizeof *a.data;
    for (uint64_t t = 1; t <= STEPS; t++) {
        step(&a, t), step(&b, t);
        if (memcmp(a.data, b.data, bytes) || memcmp(b.data, b.copy, bytes))
            fail_msg("%s on %s, %llu x %llu, scaling %d, zeroed %d: other bits", eden_rule_name(rule),
                     isa, (unsigned long long)shapes[shape].rows,
                     (unsigned long long)shapes[shape].cols, kind, zero);
        assert_memory_equal(a.grad, b.grad, bytes);
        for (uint64_t i = 0; zero && i < a.count; i++) assert_int_equal(a.grad[i], 0);
        assert_true(a.all[0] == GUARD && a.data[a.count] == GUARD);
    }
    same_state(rule, &a, &b);
    end(&a), end(&b);
}

static void test_as_staged(void **state)
{
    const eden_rule *rule;
    (void)state;
    for (size_t isa = 0; isa < eden_isa_count(); isa++) {
        if (!eden_isa_runs_here(isa)) continue;
        for (size_t k = 0; (rule = eden_rule_at(k)) != NULL; k++)
            for (size_t shape = 0; shape < SHAPES; shape++)
                for (int kind = 0; kind < 3; kind++)
                    compare(rule, shape, kind, (int)(shape + k) % 2, eden_isa_name(isa));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_as_staged) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
