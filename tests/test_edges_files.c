/* test_edges_files.c - checkpoints at the edge: more dimensions than there may be, names
 * longer than keys, numbers that are none, and settings that another one explains. */
#include "tests/checkpoint_model.h"

#include <math.h>

static void start(model *m)
{
    create(m, "adamw", "sgd", NULL);
    train(m, 2);
    OK(eden_save(m->o, file("a"), 0, error));
}

/* A file of another program, with one more tensor than is asked for, or another one. */
static void test_nine_dimensions(void **state)
{
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}";
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    float w[1] = { 7 };
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        FILE *f = fopen(file("a"), "wb");
        assert_non_null(f);
        const unsigned char length[8] = { sizeof header - 1 };
        assert_true(fwrite(length, 8, 1, f) && fwrite(header, sizeof header - 1, 1, f) && fwrite(w, 4, 1, f));
        fclose(f);
        eden_optimizer *o = NULL;
        const eden_tensor t = eden_vector(w, NULL, 1);
        OK(eden_optimizer_create(&o, "sgd", NULL, error));
        OK(eden_add_tensor(o, extra ? "v" : "w", &t, NULL, error));
        REFUSED(eden_load(o, file("a"), EDEN_WEIGHTS, error), EDEN_E_FORMAT, "tensor 'w' has 9 dimensions");
        REFUSED(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_PARTIAL | EDEN_CONVERT, &r, error), EDEN_E_FORMAT,
                "tensor 'w' has 9 dimensions");
        assert_true(w[0] == 7);
        eden_optimizer_destroy(o);
    }
}

/* Data that is converted is checked before. */
static void test_damaged_convert(void **state)
{
    eden_load_report r = EDEN_LOAD_REPORT_INIT;
    const double stored[2] = { 1, 2 };
    const uint64_t two = 2;
    float w[2] = { 7, 7 };
    eden_writer *writer = NULL;
    eden_optimizer *o = NULL;
    const eden_tensor t = eden_vector(w, NULL, 2);
    (void)state;
    OK(eden_writer_create(&writer, error));
    OK(eden_writer_tensor(writer, "w", "F64", 1, &two, stored, error));
    OK(eden_writer_write(writer, file("a"), error));
    eden_writer_destroy(writer);
    FILE *f = fopen(file("a"), "r+b");
    assert_true(f && fseek(f, -1, SEEK_END) == 0 && fputc('!', f) == '!');
    fclose(f);
    OK(eden_optimizer_create(&o, "sgd", NULL, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    REFUSED(eden_load_as(o, file("a"), EDEN_WEIGHTS | EDEN_CONVERT, &r, error), EDEN_E_FORMAT,
            "tensor 'w' is damaged");
    assert_true(w[0] == 7 && w[1] == 7 && r.converted == 0);
    eden_optimizer_destroy(o);
}

/* Names that no key and no tensor of ours can have. */
static void test_long_names(void **state)
{
    static const size_t lengths[] = { 255, 256, 300, 639, 700, 5000 };
    static char name[6000];
    model m;
    (void)state;
    start(&m);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int slot = 0; slot < 2; slot++) {
            memset(name, 'n', sizeof name);
            strcpy(name + lengths[i], slot ? "@m" : "");
            REFUSED(eden_load(m.o, changed(file("a"), (change){ .entry = name }), 0, error), EDEN_E_MISMATCH,
                    "nnn' belongs to no tensor");
        }
    OK(eden_load(m.o, file("a"), 0, error));
    destroy(&m);
}

static void test_explained(void **state)
{
    model m;
    (void)state;
    start(&m);
    const char *path = changed(file("a"), (change){ .key = "eden.version" });
    REFUSED(eden_load(m.o, changed(path, (change){ .key = "eden.format", .value = "9" }), 0, error), EDEN_E_MISMATCH,
            "a checkpoint of format '9', by Eden of unknown version");
    path = changed(file("a"), (change){ .key = "eden.rule.more", .value = "adamw" });
    path = changed(path, (change){ .key = "eden.schedule.what.more", .value = "constant(1)" });
    REFUSED(eden_load(m.o, path, 0, error), EDEN_E_MISMATCH, "the file's group 'more' is not here");
    /* A setting's schedule of a rule that the group has there and not here. */
    const change schedule = { .key = "eden.schedule.centered.default", .value = "constant(1)" };
    path = changed(file("a"), schedule);
    REFUSED(eden_load(m.o, path, 0, error), EDEN_E_FORMAT, "eden.schedule.centered.default");
    path = changed(path, (change){ .key = "eden.rule.default", .value = "rmsprop" });
    REFUSED(eden_load(m.o, path, 0, error), EDEN_E_MISMATCH, "group 'default' uses rmsprop in the file and adamw");
    destroy(&m);
}

static eden_optimizer *one(uint16_t *w, uint16_t *g, uint32_t rounding)
{
    eden_config c = EDEN_CONFIG_INIT;
    eden_optimizer *o = NULL;
    eden_tensor t = EDEN_TENSOR_INIT;
    c.nonfinite = EDEN_APPLY;
    t.data = w, t.grad = g;
    t.dtype = t.grad_dtype = EDEN_BF16;
    t.rounding = rounding;
    t.ndim = 1, t.shape[0] = 2;
    OK(eden_optimizer_create(&o, "sgd", &c, error));
    OK(eden_add_tensor(o, "w", &t, NULL, error));
    return o;
}

/* Of a master that is NaN the weight may be any NaN; of another it is that, rounded. */
static void test_master(void **state)
{
    uint16_t w[2] = { 0x3f80, 0x3f80 }, g[2] = { 0x7fc0, 0 };
    (void)state;
    eden_optimizer *o = one(w, g, EDEN_MASTER);
    OK(eden_step(o, error));
    assert_true((w[0] & 0x7fff) > 0x7f80 && w[1] == 0x3f80);
    w[0] = 0x7fee;
    OK(eden_save(o, file("a"), 0, error));
    w[0] = 0;
    OK(eden_load(o, file("a"), 0, error));
    assert_int_equal(w[0], 0x7fee);
    w[1] = 0x3f81;
    OK(eden_save(o, file("a"), 0, error));
    REFUSED(eden_load(o, file("a"), 0, error), EDEN_E_FORMAT, "state 'master' of 'w' is 1 at element 1, and the weight");
    eden_optimizer_destroy(o);
}

static void test_seed(void **state)
{
    uint16_t w[2] = { 0x3f80, 0x3f80 }, g[2] = { 0x3f80, 0 };
    (void)state;
    eden_optimizer *o = one(w, g, EDEN_STOCHASTIC);
    OK(eden_step(o, error));
    OK(eden_save(o, file("a"), 0, error));
    REFUSED(eden_load(o, changed(file("a"), (change){ .key = "eden.seed", .value = "x" }), 0, error), EDEN_E_FORMAT,
            "eden.seed = 'x'");
    REFUSED(eden_load(o, changed(file("a"), (change){ .key = "eden.seed", .value = "9" }), 0, error),
            EDEN_E_MISMATCH, "config.seed is 9 in the file and 0 here");
    OK(eden_load(o, file("a"), 0, error));
    eden_optimizer_destroy(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_nine_dimensions), IN_FOLDER(test_damaged_convert), IN_FOLDER(test_long_names),
        IN_FOLDER(test_explained),       IN_FOLDER(test_master),          IN_FOLDER(test_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
