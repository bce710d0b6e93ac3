/* test_memory_lent_changes.c - state in the caller's memory when settings change, when files
 * are saved and loaded, and when a call is refused. */
#include "tests/lent_state.h"

#include <math.h>

#include "tests/checkpoint_model.h"

static eden_config plain(void)
{
    eden_config c = EDEN_CONFIG_INIT;
    c.threads = 2;
    return c;
}

static const stored_as *way(const char *name)
{
    for (size_t i = 0; i < ALL_WAYS; i++)
        if (strcmp(all_ways[i].name, name) == 0) return &all_ways[i];
    fail_msg("no way is called %s", name);
    return NULL;
}

/* ---- layouts ------------------------------------------------------------------------------ */

static void layout_is(run *r, const char *tensor, const char *slot, uint64_t count, uint64_t bytes,
                      uint32_t dtype, uint32_t shape)
{
    eden_layout l = EDEN_LAYOUT_INIT;
    OK(eden_state_layout(r->o, tensor, slot, &l, error));
    assert_int_equal(l.size, sizeof l);
    if (l.count != count || l.bytes != bytes || l.dtype != dtype || l.shape != shape)
        fail_msg("%s, '%s': %llu values, %llu bytes, dtype %u, shape %u", r->s->name, slot,
                 (unsigned long long)l.count, (unsigned long long)l.bytes, l.dtype, l.shape);
}

/* Numbers worked out by hand: 300 values of 8 bits are 300 bytes, then from 320 on two
 * scales of 4. */
static void test_layouts(void **state)
{
    const eden_config c = plain();
    (void)state;
    run *r = begin(way("state q8"), "adam", &c);
    layout_is(r, "v", "m", 300, 328, EDEN_Q8, EDEN_FULL);
    layout_is(r, "v", "v", 300, 328, EDEN_Q8, EDEN_FULL);
    layout_is(r, "v", "master", 0, 0, EDEN_F32, EDEN_FULL);
    layout_is(r, "v", "lost", 0, 0, EDEN_F32, EDEN_FULL);
    assert_int_equal(eden_state_bytes(r->o), 0); /* asking allocates nothing */
    end(r);
    r = begin(way("state f16"), "adam", &c);
    layout_is(r, "v", "m", 300, 600, EDEN_F16, EDEN_FULL);
    layout_is(r, "v", "v", 300, 600, EDEN_BF16, EDEN_FULL);
    end(r);
    r = begin(way("master"), "lion", &c);
    layout_is(r, "v", "m", 300, 1200, EDEN_F32, EDEN_FULL);
    layout_is(r, "v", "master", 300, 1200, EDEN_F32, EDEN_FULL);
    end(r);
    r = begin(way("kahan f16"), "lion", &c);
    layout_is(r, "v", "lost", 300, 600, EDEN_F16, EDEN_FULL);
    end(r);
    r = begin(way("state bf16"), "adafactor", &c);
    layout_is(r, "w", "r", ROWS, ROWS * 4, EDEN_F32, EDEN_ROW);
    layout_is(r, "w", "c", COLS, COLS * 4, EDEN_F32, EDEN_COL);
    layout_is(r, "w", "v", 0, 0, EDEN_F32, EDEN_FULL);
    layout_is(r, "v", "v", 300, 600, EDEN_BF16, EDEN_FULL);
    layout_is(r, "v", "r", 0, 0, EDEN_F32, EDEN_ROW);
    end(r);
}

/* Of the settings that the next step will have, not of the last one's. */
static void test_layout_follows(void **state)
{
    const eden_config c = plain();
    (void)state;
    run *r = begin(way("f32"), "sgd", &c);
    run_step(r);
    layout_is(r, "v", "b", 0, 0, EDEN_F32, EDEN_FULL);
    OK(eden_set(r->o, NULL, "momentum", 0.9, error));
    layout_is(r, "v", "b", 300, 1200, EDEN_F32, EDEN_FULL);
    assert_int_equal(eden_state_bytes(r->o), 0);
    end(r);
}

/* ---- settings that change ------------------------------------------------------------------- */

/* A slot that vanishes lets the memory go, and comes back in Eden's own from zeros. */
static void test_settings(void **state)
{
    const eden_config c = plain();
    (void)state;
    for (size_t i = 0; i < ALL_WAYS; i++) {
        run *a = begin(&all_ways[i], "sgd", &c), *b = begin(&all_ways[i], "sgd", &c);
        lent l;
        OK(eden_set(a->o, NULL, "momentum", 0.9, error));
        OK(eden_set(b->o, NULL, "momentum", 0.9, error));
        lent_make(&l, b);
        lent_begin(&l, b);
        lent_bind(&l, b);
        for (int t = 0; t < 4; t++) run_step(a), run_step(b);
        same_runs(a, b, "momentum");
        OK(eden_set(a->o, NULL, "momentum", 0, error));
        OK(eden_set(b->o, NULL, "momentum", 0, error));
        run_step(a), run_step(b);
        same_runs(a, b, "no momentum");
        assert_int_equal(eden_state_bytes(a->o), eden_state_bytes(b->o));
        OK(eden_set(a->o, NULL, "momentum", 0.9, error));
        OK(eden_set(b->o, NULL, "momentum", 0.9, error));
        for (size_t k = 0; k < l.count; k++)
            if (strcmp(l.part[k].slot, "b") == 0) memset(l.part[k].at, 0x41, (size_t)l.part[k].layout.bytes);
        for (int t = 0; t < 3; t++) run_step(a), run_step(b);
        same_runs(a, b, "momentum again");
        for (size_t k = 0; k < l.count; k++)
            for (uint64_t j = 0; strcmp(l.part[k].slot, "b") == 0 && j < l.part[k].layout.bytes; j++)
                assert_int_equal(l.part[k].at[j], 0x41);
        end(a), end(b);
        lent_free(&l);
    }
}

/* Memory that settings let go may hold something else by the next step. */
static void test_let_go(void **state)
{
    static float memory[SMALL], grad[SMALL], w[SMALL];
    eden_optimizer *o = NULL;
    eden_tensor t = eden_vector(w, grad, SMALL);
    (void)state;
    OK(eden_optimizer_create(&o, "momentum", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    OK(eden_set_state(o, "w", "b", memory, sizeof memory, error));
    OK(eden_step(o, error));
    t.data = memory;
    OK(eden_add_tensor(o, "x", &t, NULL, error));
    REFUSED(eden_step(o, error), EDEN_E_ARGUMENT, "the state b of 'w' and the weights of 'x' overlap");
    OK(eden_set(o, NULL, "momentum", 0, error));
    OK(eden_step(o, error));
    assert_int_equal(eden_state_bytes(o), 0);
    eden_optimizer_destroy(o);
}

/* ---- files --------------------------------------------------------------------------------------- */

static void saved_and_loaded(const eden_rule *rule, const stored_as *s)
{
    const eden_config c = plain();
    const char *name = eden_rule_name(rule);
    run *a = begin(s, name, &c), *b = begin(s, name, &c), *d = begin(s, name, &c);
    lent of_b, of_d;
    lent_make(&of_b, b), lent_make(&of_d, d);
    lent_begin(&of_b, b), lent_begin(&of_d, d);
    lent_bind(&of_b, b), lent_bind(&of_d, d);
    for (int t = 0; t < 3; t++) run_step(a), run_step(b);
    OK(eden_save(a->o, file("a"), 0, error));
    OK(eden_save(b->o, file("b"), 0, error));
    same_files(file("a"), file("b"), s->name);
    if (s->grad == EDEN_BF16) run_step(d), run_step(d); /* else before any step */
    OK(eden_load(d->o, file("a"), 0, error));
    lent_copy(&of_b, &of_d); /* bytes of the same layouts */
    d->calls = a->calls;
    assert_int_equal(eden_state_bytes(d->o), lent_bytes(&of_d));
    same_states(a, d, &of_d, "loaded");
    const uint64_t before = lent_hash(&of_d);
    for (int t = 0; t < 3; t++) run_step(a), run_step(b), run_step(d);
    same_runs(a, d, "loaded into memory of ours");
    same_runs(a, b, "went on where a load's bytes were put");
    if (of_d.count) assert_true(lent_hash(&of_d) != before); /* it goes on there */
    end(a), end(b), end(d);
    lent_free(&of_b), lent_free(&of_d);
}

static void test_files(void **state)
{
    const eden_rule *rule;
    (void)state;
    for (size_t k = 0; (rule = eden_rule_at(k)); k++)
        for (size_t i = 0; i < ALL_WAYS; i++)
            if (suits(rule, &all_ways[i])) saved_and_loaded(rule, &all_ways[i]);
}

/* A load that fails writes nothing; of weights alone, what is kept beside them; one with other
 * settings lets the memory go; a tensor that is left out keeps what it has. */
static void test_other_files(void **state)
{
    const eden_config c = plain();
    eden_load_report report = EDEN_LOAD_REPORT_INIT;
    (void)state;
    run *a = begin(way("split"), "sgd", &c), *b = begin(way("split"), "sgd", &c);
    lent l;
    run_step(a);
    OK(eden_save(a->o, file("a"), 0, error));
    OK(eden_set(b->o, NULL, "momentum", 0.9, error));
    lent_make(&l, b);
    assert_int_equal(l.count, 4);
    lent_bind(&l, b);
    for (int t = 0; t < 3; t++) run_step(b);
    uint64_t before = lent_hash(&l);
    const char *damaged = changed(file("a"), (change){ .key = "eden.steps.w", .value = "9" });
    REFUSED(eden_load(b->o, damaged, 0, error), EDEN_E_FORMAT, "above eden.steps");
    damaged = changed(file("a"), (change){ .entry = "w", .name = "u" });
    REFUSED(eden_load(b->o, damaged, 0, error), EDEN_E_MISMATCH, "'w' is not in the file");
    assert_true(lent_hash(&l) == before);
    OK(eden_load_as(b->o, damaged, EDEN_WEIGHTS | EDEN_PARTIAL, &report, error)); /* "v" alone */
    assert_int_equal(report.loaded, 1);
    for (size_t i = 0; i < l.count; i++)
        for (uint64_t k = 0; k < l.part[i].layout.bytes; k++)
            if (*l.part[i].tensor == 'v' && strcmp(l.part[i].slot, "lost") == 0) assert_int_equal(l.part[i].at[k], 0);
    before = lent_hash(&l);
    OK(eden_load(b->o, file("a"), 0, error)); /* without momentum */
    assert_true(lent_hash(&l) != before);     /* "lost" is here still */
    memcpy(b->grad, a->grad, sizeof a->grad);
    b->calls = a->calls;
    for (int t = 0; t < 3; t++) run_step(a), run_step(b);
    same_runs(a, b, "loaded");
    assert_int_equal(eden_state_bytes(a->o), eden_state_bytes(b->o));
    end(a), end(b);
    lent_free(&l);
}

/* A tensor that a file leaves out keeps its state in the caller's memory. */
static void test_left_out(void **state)
{
    const eden_config c = plain();
    eden_load_report report = EDEN_LOAD_REPORT_INIT;
    (void)state;
    for (size_t i = 0; i < ALL_WAYS; i++) {
        run *a = begin(&all_ways[i], "adam", &c), *b = begin(&all_ways[i], "adam", &c);
        lent l;
        lent_make(&l, b);
        lent_begin(&l, b);
        lent_bind(&l, b);
        run_step(a), run_step(b);
        OK(eden_save(a->o, file("a"), 0, error));
        const char *other = changed(file("a"), (change){ .key = "eden.split.v", .value = "3" });
        const uint64_t before = lent_hash(&l);
        OK(eden_load_as(b->o, other, EDEN_PARTIAL, &report, error));
        assert_int_equal(report.different, 1);
        assert_true(lent_hash(&l) == before);
        run_step(a), run_step(b);
        same_runs(a, b, "left out");
        end(a), end(b);
        lent_free(&l);
    }
}

/* What is wrong may only be found when all has been read. */
static void test_refused_late(void **state)
{
    const eden_config c = plain();
    (void)state;
    for (size_t i = 0; i < ALL_WAYS; i++) {
        run *a = begin(&all_ways[i], "adam", &c), *b = begin(&all_ways[i], "adam", &c);
        lent l;
        lent_make(&l, b);
        lent_begin(&l, b);
        lent_bind(&l, b);
        run_step(a);
        run_step(b), run_step(b);
        OK(eden_save(a->o, file("a"), 0, error));
        const char *damaged = changed(file("a"), (change){ .key = "eden.steps.v", .value = "0" });
        const uint64_t before = lent_hash(&l);
        REFUSED(eden_load(b->o, damaged, 0, error), EDEN_E_FORMAT, "the tensor has not taken a step");
        assert_true(lent_hash(&l) == before);
        end(a), end(b);
        lent_free(&l);
    }
}

/* What was read as floats is written back, into lent memory or Eden's own; and
 * other floats as the codec's own test says that they are rounded. */
static void test_put(void **state)
{
    const eden_config c = plain();
    static float values[512], again[512];
    uint64_t count = 0;
    (void)state;
    for (size_t i = 0; i < ALL_WAYS; i++) {
        run *a = begin(&all_ways[i], "adam", &c), *b = begin(&all_ways[i], "adam", &c);
        run_step(a), run_step(a);
        for (int square = 0; square < 2; square++) {
            const char *slot = square ? "v" : "m";
            eden_layout layout = EDEN_LAYOUT_INIT;
            OK(eden_state_layout(b->o, "v", slot, &layout, error));
            char *room = calloc(1, (size_t)layout.bytes);
            assert_non_null(room);
            OK(eden_get_state(a->o, "v", slot, values, 512, &count, error));
            if (square) OK(eden_set_state(b->o, "v", slot, room, layout.bytes, error));
            OK(eden_put_state(b->o, "v", slot, values, count, error));
            OK(eden_get_state(b->o, "v", slot, again, 512, &count, error));
            /* The largest of 256 values of 8 bits gives their scale, rounded once more. */
            const float slack = layout.dtype == EDEN_Q8 ? 0x1p-22f : 0;
            for (uint64_t k = 0; k < count; k++)
                assert_true(fabsf(values[k] - again[k]) <= slack * fabsf(values[k]));
            REFUSED(eden_put_state(b->o, "v", slot, values, count + 1, error), EDEN_E_ARGUMENT,
                    "' of 'v' has 300 values, not 301");
            REFUSED(eden_put_state(b->o, "v", slot, NULL, count, error), EDEN_E_ARGUMENT, "values is NULL");
            if (square) OK(eden_set_state(b->o, "v", slot, NULL, 0, error));
            free(room);
        }
        REFUSED(eden_put_state(b->o, "v", "n", values, 300, error), EDEN_E_NAME, "no state called 'n'");
        end(a), end(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),  cmocka_unit_test(test_layout_follows),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_let_go),
        cmocka_unit_test(test_put),
        IN_FOLDER(test_files),           IN_FOLDER(test_other_files),
        IN_FOLDER(test_left_out),        IN_FOLDER(test_refused_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
