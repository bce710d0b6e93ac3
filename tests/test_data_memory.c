/* test_data_memory.c - every allocation of a data set's reader fails in turn. */
#include "data_files.h"

static long until_failure = -1; /* allocations that still succeed; below 0: all */
static int failures;

static int fails(void)
{
    if (until_failure < 0) return 0;
    if (until_failure-- > 0) return 0;
    until_failure = 0;
    failures++;
    return 1;
}

static void *calloc_or_fail(size_t n, size_t size) { return fails() ? NULL : calloc(n, size); }
static void *malloc_or_fail(size_t size) { return fails() ? NULL : malloc(size); }
static void *realloc_or_fail(void *old, size_t size) { return fails() ? NULL : realloc(old, size); }

/* All of the readers' memory comes from this file, here in place of the lab's. */
#define calloc  calloc_or_fail
#define malloc  malloc_or_fail
#define realloc realloc_or_fail
#include "lab/data.c"
#undef calloc
#undef malloc
#undef realloc

typedef eden_status (*loader)(lab_data *data, eden_error *error);

static eden_status load_classes(lab_data *data, eden_error *error)
{
    return lab_data_csv(data, in_folder(NAME), "b", "class", 1, error);
}

static eden_status load_values(lab_data *data, eden_error *error)
{
    return lab_data_csv(data, in_folder(NAME), "a", NULL, 1, error);
}

static eden_status load_idx(lab_data *data, eden_error *error)
{
    return lab_data_idx(data, folder, error);
}

static eden_status load_cifar10(lab_data *data, eden_error *error)
{
    return lab_data_cifar10(data, folder, error);
}

static eden_status load_sparse(lab_data *data, eden_error *error)
{
    return lab_data_sparse(data, 1, error);
}

/* The first to fail is each in turn, and all behind it fail as well. */
static void fail_each(loader load, int least)
{
    eden_status status = EDEN_E_MEMORY;
    int n = 0;
    for (; status && n < 1000; n++) {
        lab_data data;
        eden_error error = { 0, "" };
        memset(&data, 0x55, sizeof data);
        until_failure = n;
        failures = 0;
        status = load(&data, &error);
        until_failure = -1;
        if (!status) {
            assert_int_equal(failures, 0);
            check_sound(&data);
            lab_data_free(&data);
        } else {
            refused(status, EDEN_E_MEMORY, &data, &error, "not enough memory");
        }
    }
    assert_true(status == EDEN_OK && n > least);
}

static void test_memory(void **state)
{
    static const char text[] = "a,b\n1.5,x\n2,y\n3,x\n4,y\n5,x\n6,y\n";
    static const unsigned char images[] = { 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 77 };
    static const unsigned char label[] = { 0, 0, 8, 1, 0, 0, 0, 1, 3 };
    static const unsigned char record[3073] = { 3, 77, 78 };
    (void)state;
    put_zipped(NAME, text, sizeof text - 1);
    put("train-images-idx3-ubyte", images, sizeof images);
    put("train-labels-idx1-ubyte", label, sizeof label);
    put("t10k-images-idx3-ubyte", images, sizeof images);
    put("t10k-labels-idx1-ubyte", label, sizeof label);
    fail_each(lab_data_digits, 6);
    fail_each(load_classes, 15);
    fail_each(load_idx, 12);
    put_text(NAME, "a,b\n1.5,0\n2,2\n3,4\n4,4\n5,4\n6,1\n");
    fail_each(load_values, 15);
    fail_each(load_sparse, 4);
    for (char name[] = "data_batch_1.bin"; name[11] < '6'; name[11]++)
        put_zipped(name, record, sizeof record);
    put("test_batch.bin", record, sizeof record);
    fail_each(load_cifar10, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
