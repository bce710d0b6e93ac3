/* test_checkpoint_unmade.c - files with right checksums that no save can have made. */
#include "tests/checkpoint_model.h"

#include <math.h>

typedef struct { const char *key, *value, *part; } one_key;

static const one_key keys[] = {
    { "eden.steps", "1", "is above eden.steps, 1" },
    { "eden.steps.layer.0/w", "1000000000000", "eden.steps.layer.0/w = '1000000000000' is above eden.steps, 2" },
    { "eden.steps.layer.0/w", "18446744073709551615", "is above eden.steps, 2" },
    { "eden.steps.layer.0/w", "3", "is above eden.steps, 2" },
    { "eden.steps.other", "3", "eden.steps.other = '3' is above" },
    { "eden.steps.other", "x", "eden.steps.other = 'x'" },
    { "eden.group.other", "default", "eden.group.other = 'default' makes no sense" },
    { "eden.group.layer.0/w", "nope", "eden.group.layer.0/w = 'nope'" },
    { "eden.split.other", "1", "eden.split.other" },
    { "eden.storage.other", "bf16,f32,kahan", "eden.storage.other" },
    { "eden.averaged.other", "1", "eden.averaged.other" },
    { "eden.averaged.layer.0/w", "1", "eden.averaged.layer.0/w" },
    { "eden.settings.nope", "lr=9", "eden.settings.nope = 'lr=9'" },
    { "eden.own_rule.nope", "1", "eden.own_rule.nope" },
    { "eden.own_rule.no decay", "0", "eden.own_rule.no decay = '0'" },
    { "eden.own_rule.no decay", "7", "eden.own_rule.no decay = '7'" },
    { "eden.schedule.lr.nope", "constant(1)", "eden.schedule.lr.nope" },
    { "eden.custom.lr.nope", "1", "eden.custom.lr.nope" },
    { "eden.custom.lr.no decay", "0", "eden.custom.lr.no decay = '0'" },
    { "eden.custom.lr.no decay", "2", "eden.custom.lr.no decay = '2'" },
    { "eden.custom.lr.default", "1", "eden.custom.lr.default = '1'" }, /* there is a text as well */
    { "eden.plateau.lr.no decay", "1 none 0", "eden.plateau.lr.no decay" },
    { "eden.plateau.lr.default", "", "eden.plateau.lr = ''" },
    { "eden.seed", "x", "eden.seed = 'x'" },
    { "eden.seed", "7", "eden.seed = '7'" },
    { "eden.storage.layer.0/w", "bf16,f32,stochastic", "eden.seed is missing" },
    { "eden.loss_scale_now", "2", "eden.loss_scale_now = '2'" },
    { "eden.loss_scale_good", "0", "eden.loss_scale_good = '0'" },
};

/* Each alone is refused, by a load of everything, of the optimizer, and in part. */
static void test_keys(void **state)
{
    static const uint32_t parts[] = { 0, EDEN_OPTIM, EDEN_PARTIAL, EDEN_PARTIAL | EDEN_OPTIM };
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    model m;
    (void)state;
    create(&m, "adamw", "sgd", NULL);
    OK(eden_schedule(m.o, NULL, "lr", "warmup(9)", error));
    train(&m, 2);
    OK(eden_save(m.o, file("a"), 0, error));
    OK(eden_load(m.o, file("a"), 0, error));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *path = changed(file("a"), (change){ .key = keys[i].key, .value = keys[i].value });
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            REFUSED(eden_load_as(m.o, path, parts[k], &r, error), EDEN_E_FORMAT, keys[i].part);
    }
    OK(eden_save(m.o, file("b"), 0, error));
    same_files(file("a"), file("b"), "refused");
    destroy(&m);
}

/* ---- numbers --------------------------------------------------------------------------- */

enum { COUNT = 600 };

typedef struct { eden_optimizer *o; float w[COUNT], g[COUNT]; } vector;

static void begin(vector *v, uint32_t nonfinite, uint32_t flags)
{
    eden_config c = EDEN_CONFIG_INIT;
    memset(v, 0, sizeof *v);
    c.nonfinite = nonfinite;
    eden_tensor t = eden_vector(v->w, v->g, COUNT);
    t.state_dtype = EDEN_Q8;
    t.flags = flags;
    for (int i = 0; i < COUNT; i++) v->g[i] = (float)i / 100;
    OK(eden_optimizer_create(&v->o, "adam", &c, error));
    OK(eden_add_tensor(v->o, "w", &t, NULL, error));
    OK(eden_step(v->o, error));
}

/* file("a") with one float of an entry changed. */
static const char *with_float(const char *entry, size_t index, float value)
{
    eden_file *in = NULL;
    eden_writer *out = NULL;
    const char *key;
    void *kept[16] = { NULL };
    OK(eden_file_open(&in, file("a"), error));
    OK(eden_writer_create(&out, error));
    for (size_t i = 0; i < eden_file_count(in); i++) {
        eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
        OK(eden_file_at(in, i, &t, error));
        kept[i] = malloc((size_t)t.bytes + 1);
        OK(eden_file_read(in, i, kept[i], t.bytes, error));
        if (strcmp(t.name, entry) == 0) memcpy((char *)kept[i] + index * 4, &value, 4);
        OK(eden_writer_tensor(out, t.name, t.dtype, t.ndim, t.shape, kept[i], error));
    }
    for (size_t i = 0; (key = eden_file_key(in, i)); i++) OK(eden_writer_text(out, key, eden_file_value(in, key), error));
    OK(eden_writer_write(out, file("changed"), error));
    eden_writer_destroy(out);
    eden_file_close(in);
    for (size_t i = 0; i < 16; i++) free(kept[i]);
    return file("changed");
}

static void test_scales(void **state)
{
    static const struct { float value; const char *part; int applies; } cases[] = {
        { -1, "state 'm' of 'w' is -1 at element 2 of its scales", 0 },
        { -0x1p-149f, "at element 2 of its scales", 0 },
        { NAN, "state 'm' of 'w' is NaN at element 2 of its scales", 1 },
        { INFINITY, "is infinite at element 2 of its scales", 1 },
        { -INFINITY, "is infinite at element 2 of its scales", 0 },
    };
    (void)state;
    for (uint32_t policy = EDEN_REFUSE; policy <= EDEN_APPLY; policy++) {
        vector v;
        begin(&v, policy, 0);
        OK(eden_save(v.o, file("a"), 0, error));
        OK(eden_load(v.o, file("a"), 0, error));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const char *path = with_float("w@m@scale", 2, cases[i].value);
            if (policy == EDEN_APPLY && cases[i].applies) OK(eden_load(v.o, path, 0, error));
            else REFUSED(eden_load(v.o, path, 0, error), EDEN_E_FORMAT, cases[i].part);
        }
        eden_optimizer_destroy(v.o);
    }
}

/* Where a bad gradient is refused, a weight that is not finite is too; a mask that is
 * frozen is not, nor are weights alone. */
static void test_weights(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (uint32_t policy = EDEN_REFUSE; policy <= EDEN_APPLY; policy++)
        for (uint32_t flags = 0; flags <= EDEN_FROZEN; flags += EDEN_FROZEN)
            for (size_t i = 0; i < 3; i++) {
                vector v;
                begin(&v, policy, flags);
                OK(eden_save(v.o, file("a"), 0, error));
                const char *path = with_float("w", 555, bad[i]);
                if (policy == EDEN_REFUSE && !flags)
                    REFUSED(eden_load(v.o, path, 0, error), EDEN_E_FORMAT,
                            i ? "tensor 'w' is infinite at element 555" : "tensor 'w' is NaN at element 555");
                else
                    OK(eden_load(v.o, path, 0, error));
                OK(eden_load(v.o, path, EDEN_OPTIM, error));
                OK(eden_load(v.o, path, EDEN_WEIGHTS, error));
                assert_memory_equal(&v.w[555], &bad[i], 4);
                eden_optimizer_destroy(v.o);
            }
}

/* A load in part leaves no count that a whole load would refuse. */
static void test_after_partial(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    model a, b;
    uint64_t steps;
    (void)state;
    create(&a, "adamw", "sgd", NULL);
    create(&b, "adamw", "sgd", NULL);
    train(&a, 2);
    train(&b, 5);
    OK(eden_save(a.o, file("a"), 0, error));
    const char *path = changed(file("a"), (change){ .entry = "layer.0/w", .flat = 1 });
    OK(eden_load_as(b.o, path, EDEN_PARTIAL, &r, error));
    OK(eden_tensor_steps(b.o, "layer.0/w", &steps, error));
    assert_true(r.different == 1 && steps == 5 && eden_steps(b.o) == 5);
    OK(eden_tensor_steps(b.o, "100% \"k\"@x", &steps, error));
    assert_int_equal(steps, 2);
    OK(eden_save(b.o, file("b"), 0, error));
    OK(eden_load(b.o, file("b"), 0, error));
    destroy(&a);
    destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { IN_FOLDER(test_keys), IN_FOLDER(test_scales), IN_FOLDER(test_weights),
                                        IN_FOLDER(test_after_partial) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
