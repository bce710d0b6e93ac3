/* test_locale.c - a program that speaks German writes 0,5; Eden reads and writes 0.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scratch.h"

#include "lab/data.h"

/* A locale with a decimal comma: the system's, or one made here. 0 if there is none. */
static int decimal_comma(void)
{
    char command[900], text[16];
    if (!setlocale(LC_ALL, "de_DE.UTF-8")) {
        snprintf(command, sizeof command,
                 "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 > %s/words 2>&1", scratch, scratch);
        if (system(command) < 0 || setenv("LOCPATH", scratch, 1)) return 0;
        if (!setlocale(LC_ALL, "de_DE.UTF-8")) return 0;
    }
    snprintf(text, sizeof text, "%.1f", 0.5);
    return strcmp(text, "0,5") == 0;
}

static void remove_locale(void)
{
    char command[700];
    setlocale(LC_ALL, "C");
    snprintf(command, sizeof command, "rm -rf %s/de_DE.UTF-8 %s/words", scratch, scratch);
    assert_int_equal(system(command), 0);
}

typedef struct {
    float w[3], grad[3];
    eden_optimizer *o;
} model;

static void train(model *m, const char *path)
{
    eden_error error;
    *m = (model){ .w = { 1, 2, 3 }, .grad = { 0.5f, -0.25f, 0.125f } };
    const eden_tensor tensor = eden_vector(m->w, m->grad, 3);
    assert_int_equal(eden_optimizer_create(&m->o, "adamw", NULL, &error), EDEN_OK);
    assert_int_equal(eden_set_text(m->o, NULL, "lr=0.125, weight_decay=1.5e-2", &error), EDEN_OK);
    assert_int_equal(eden_schedule(m->o, NULL, "lr", "warmup(4, start=0.25) * plateau(0.5)", &error),
                     EDEN_OK);
    assert_int_equal(eden_add_tensor(m->o, "w", &tensor, NULL, &error), EDEN_OK);
    assert_int_equal(eden_step(m->o, &error), EDEN_OK);
    assert_int_equal(eden_report(m->o, 0.75, &error), EDEN_OK);
    assert_int_equal(eden_save(m->o, path, 0, &error), EDEN_OK);
}

static size_t content(const char *path, char *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static void check_file(const char *path)
{
    static char english[8192], german[8192];
    model m;
    double value = 0;
    eden_error error;
    const size_t size = content(at("english"), english, sizeof english);
    train(&m, path);
    assert_int_equal(content(path, german, sizeof german), size);
    assert_memory_equal(english, german, size);
    assert_int_equal(eden_load(m.o, at("english"), 0, &error), EDEN_OK);
    assert_int_equal(eden_get(m.o, NULL, "weight_decay", &value, &error), EDEN_OK);
    assert_true(value == 1.5e-2);
    /* A comma never is a point, and a sentence shows what may be typed. */
    assert_int_equal(eden_set_text(m.o, NULL, "lr=0,5", &error), EDEN_E_VALUE);
    assert_int_equal(eden_set(m.o, NULL, "beta1", 1.5, &error), EDEN_E_VALUE);
    assert_non_null(strstr(error.text, "1.5"));
    assert_int_equal(eden_schedule_value("constant(0.5)", 1, &value, &error), EDEN_OK);
    assert_true(value == 0.5);
    eden_optimizer_destroy(m.o);
}

static void check_table(void)
{
    lab_data data;
    eden_error error;
    FILE *f = fopen(at("t.csv"), "w");
    assert_non_null(f);
    fputs("x,label\n", f);
    for (int i = 0; i < 10; i++) fprintf(f, "%d.5,%d.25\n", i, i * i);
    assert_int_equal(fclose(f), 0);
    setlocale(LC_ALL, "C");
    assert_int_equal(lab_data_csv(&data, at("t.csv"), "label", NULL, 1, &error), EDEN_OK);
    const uint64_t hash = data.hash;
    lab_data_free(&data);
    assert_true(decimal_comma());
    assert_int_equal(lab_data_csv(&data, at("t.csv"), "label", NULL, 1, &error), EDEN_OK);
    assert_true(data.hash == hash && data.classes == 0);
    lab_data_free(&data);
}

static void test_decimal_comma(void **state)
{
    model m;
    (void)state;
    train(&m, at("english"));
    eden_optimizer_destroy(m.o);
    if (!decimal_comma()) {
        remove_locale();
        printf("skipped: no locale de_DE.UTF-8, and localedef (Debian: locales) cannot make it\n");
        skip();
    }
    check_file(at("german"));
    check_table();
    remove_locale();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_decimal_comma, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
