/* test_safetensors_from.c - a writer that takes data from an open file makes the file that it makes
 * of the same data in memory, and refuses what the file does not have or no longer has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/sample_file.h"

/* More than two pieces that are read at a time, and no whole number of them. */
enum { COUNT = 2 * EDEN_FILE_PIECE / 4 + 777 };
static float numbers[COUNT];

static eden_writer *start(const char *note)
{
    eden_writer *w = NULL;
    eden_error e = { 0, "" };
    ok(eden_writer_create(&w, &e), &e);
    ok(eden_writer_text(w, "note", note, &e), &e);
    return w;
}

static void write_all(eden_writer *w, const char *path)
{
    eden_error e = { 0, "" };
    ok(eden_writer_write(w, path, &e), &e);
    eden_writer_destroy(w);
}

static eden_file *make(void)
{
    const uint64_t count = COUNT, none = 0;
    eden_error e = { 0, "" };
    eden_writer *w = start("from memory");
    for (uint32_t i = 0; i < COUNT; i++) numbers[i] = (float)(i * 2654435761u);
    ok(eden_writer_tensor(w, "numbers", "F32", 1, &count, numbers, &e), &e);
    ok(eden_writer_tensor(w, "bytes", "U8", 1, (const uint64_t[]){ 3 }, bytes, &e), &e);
    ok(eden_writer_tensor(w, "none", "F32", 1, &none, NULL, &e), &e);
    write_all(w, at("f"));
    return open_file(at("f"));
}

static void same_files(const char *a, const char *b)
{
    size_t n, m;
    unsigned char *x = fetch(a, &n), *y = fetch(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void test_same_bytes(void **state)
{
    static const struct { uint64_t from, count; } cases[] = { { 0, COUNT }, { 0, 5 }, { 1, COUNT - 1 }, { 700, 16384 },
                                                              { 16384, 16384 }, { COUNT - 1, 1 }, { COUNT, 0 } };
    eden_error e = { 0, "" };
    eden_file *file = make();
    const size_t i = eden_file_find(file, "numbers"), b = eden_file_find(file, "bytes"), n = eden_file_find(file, "none");
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const uint64_t count = cases[k].count, from = cases[k].from, three = 3, zero = 0;
        eden_writer *w = start("x");
        ok(eden_writer_tensor(w, "part", "F32", 1, &count, numbers + from, &e), &e);
        ok(eden_writer_tensor(w, "b", "U8", 1, &three, bytes, &e), &e);
        ok(eden_writer_tensor(w, "n", "F32", 1, &zero, NULL, &e), &e);
        write_all(w, at("memory"));
        w = start("x");
        ok(eden_writer_from(w, "n", "F32", 1, &zero, file, n, 0, &e), &e);
        ok(eden_writer_from(w, "part", "F32", 1, &count, file, i, from * sizeof(float), &e), &e);
        ok(eden_writer_from(w, "b", "U8", 1, &three, file, b, 0, &e), &e);
        write_all(w, at("file"));
        same_files(at("memory"), at("file"));
    }
    eden_file_close(file);
}

static void test_refused(void **state)
{
    const uint64_t all = COUNT, more = COUNT + 1, three = 3;
    eden_error e = { 0, "" };
    eden_file *file = make();
    eden_writer *w = start("x");
    const size_t i = eden_file_find(file, "numbers");
    (void)state;
#define NO(call, want, part)                                              \
    do {                                                                  \
        assert_int_equal(call, want);                                     \
        if (!strstr(e.text, part)) fail_msg("'%s' lacks '%s'", e.text, part); \
    } while (0)
    NO(eden_writer_from(NULL, "a", "F32", 1, &all, file, i, 0, &e), EDEN_E_ARGUMENT, "NULL");
    NO(eden_writer_from(w, "a", "F32", 1, &all, NULL, i, 0, &e), EDEN_E_ARGUMENT, "file is NULL");
    NO(eden_writer_from(w, "a", "F32", 1, &all, file, 3, 0, &e), EDEN_E_ARGUMENT, "no tensor of the file has the number 3");
    NO(eden_writer_from(w, "a", "F32", 1, &more, file, i, 0, &e), EDEN_E_ARGUMENT, "the file has");
    NO(eden_writer_from(w, "a", "F32", 1, &all, file, i, 1, &e), EDEN_E_ARGUMENT, "from byte 1 on");
    NO(eden_writer_from(w, "a", "U8", 1, &three, file, i, UINT64_MAX, &e), EDEN_E_ARGUMENT, "the file has");
    NO(eden_writer_from(w, "a", "F5", 1, &all, file, i, 0, &e), EDEN_E_DTYPE, "no dtype");
    ok(eden_writer_from(w, "a", "F32", 1, &all, file, i, 0, &e), &e);
    NO(eden_writer_from(w, "a", "F32", 1, &all, file, i, 0, &e), EDEN_E_NAME, "given already");
    write_all(w, at("g"));
    eden_file_close(file);
}

static void flip(const char *path, size_t from_end)
{
    size_t n;
    unsigned char *data = fetch(path, &n), byte = (unsigned char)(data[n - from_end] ^ 1);
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, &byte, 1, (off_t)(n - from_end)) == 1);
    close(fd);
    free(data);
}

/* What the source's own checksum finds in a whole tensor, and what was there before stays. */
static void test_damaged(void **state)
{
    const uint64_t all = COUNT;
    eden_error e = { 0, "" };
    (void)state;
    eden_file *file = make();
    save_well(at("g"), "before", 0);
    flip(at("f"), 40);
    eden_writer *w = start("x");
    ok(eden_writer_from(w, "a", "F32", 1, &all, file, eden_file_find(file, "numbers"), 0, &e), &e);
    NO(eden_writer_write(w, at("g"), &e), EDEN_E_FORMAT, "tensor 'numbers' is damaged");
    eden_writer_destroy(w);
    assert_string_equal(note_of(at("g")), "before");
    assert_int_equal(truncate(at("f"), 3000), 0);
    w = start("x");
    ok(eden_writer_from(w, "a", "F32", 1, &all, file, eden_file_find(file, "numbers"), 0, &e), &e);
    NO(eden_writer_write(w, at("g"), &e), EDEN_E_FORMAT, "it was cut");
    eden_writer_destroy(w);
    assert_string_equal(note_of(at("g")), "before");
    eden_file_close(file);
}

static atomic_int over;

static void *change(void *fd)
{
    for (unsigned char byte = 0; !atomic_load(&over); byte++)
        if (pwrite(*(int *)fd, &byte, 1, 5000) != 1) break;
    return NULL;
}

/* A part of a tensor has no checksum of its own; but data that is not what the new one was made of is
 * not given a name. */
static void test_changed(void **state)
{
    enum { TRIES = 10000 };
    const uint64_t count = COUNT - 1;
    eden_error e = { 0, "" };
    pthread_t other;
    int n = 0, seen = 0;
    (void)state;
    eden_file *file = make();
    int fd = open(at("f"), O_WRONLY);
    assert_true(fd >= 0 && !pthread_create(&other, NULL, change, &fd));
    for (; n < TRIES && !seen; n++) {
        eden_writer *w = start("x");
        ok(eden_writer_from(w, "a", "F32", 1, &count, file, eden_file_find(file, "numbers"), 0, &e), &e);
        seen = eden_writer_write(w, at("g"), &e) == EDEN_E_FORMAT;
        eden_writer_destroy(w);
        if (seen) assert_non_null(strstr(e.text, "it changed while it was being read"));
        if (!seen) eden_file_close(open_file(at("g")));
    }
    atomic_store(&over, 1);
    pthread_join(other, NULL);
    assert_true(seen);
    close(fd);
    eden_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bytes, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refused, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_damaged, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_changed, scratch_make, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
