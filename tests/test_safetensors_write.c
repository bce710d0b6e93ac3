/* test_safetensors_write.c - the writer: what goes in comes out, damage is noticed, and a
 * path that cannot be written is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tests/sample_file.h"

static void expect(eden_file *file, const char *name, const char *dtype, uint32_t ndim,
                   const void *want, size_t count)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_error e = { 0, "" };
    unsigned char data[64];
    const size_t i = eden_file_find(file, name);
    ok(eden_file_at(file, i, &t, &e), &e);
    assert_string_equal(t.name, name);
    assert_string_equal(t.dtype, dtype);
    assert_int_equal(t.ndim, ndim);
    assert_int_equal(t.bytes, count);
    ok(eden_file_read(file, i, data, t.bytes, &e), &e);
    assert_memory_equal(data, want, count);
    assert_int_equal(eden_file_read(file, i, data, t.bytes + 1, &e), EDEN_E_ARGUMENT);
}

static void test_round_trip(void **state)
{
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_error e = { 0, "" };
    (void)state;
    save_well(at("f"), "one", 0);
    eden_file *file = open_file(at("f"));
    expect(file, "b/odd \"\\\xc3\xa9\n\x1f", "F32", 2, odd_bits, sizeof odd_bits);
    expect(file, "a", "U8", 1, bytes, sizeof bytes);
    expect(file, "scalar", "F64", 0, &scalar, sizeof scalar);
    expect(file, "empty", "F32", 2, "", 0);
    assert_int_equal(eden_file_count(file), 4);
    ok(eden_file_at(file, 0, &t, &e), &e);
    assert_string_equal(t.name, "scalar"); /* the widest first */
    ok(eden_file_at(file, eden_file_find(file, "b/odd \"\\\xc3\xa9\n\x1f"), &t, &e), &e);
    assert_true(t.shape[0] == 2 && t.shape[1] == 4 && t.shape[2] == 0);
    assert_true(eden_file_find(file, "B") == SIZE_MAX && eden_file_find(file, "") == SIZE_MAX);
    assert_int_equal(eden_file_at(file, 4, &t, &e), EDEN_E_ARGUMENT);
    assert_int_equal(eden_file_read(file, 4, &t, 1, &e), EDEN_E_ARGUMENT);
    t.size = 8;
    assert_int_equal(eden_file_at(file, 0, &t, &e), EDEN_E_ARGUMENT);
    assert_string_equal(eden_file_key(file, 0), "");
    assert_string_equal(eden_file_key(file, 1), "note");
    assert_null(eden_file_key(file, 2)); /* the sums are not listed */
    assert_string_equal(eden_file_value(file, ""), "\t\"quotes\"\n");
    assert_string_equal(eden_file_value(file, "eden.sum_kind"), "CRC-64/XZ");
    assert_non_null(eden_file_value(file, "eden.sum.a"));
    assert_null(eden_file_value(file, "eden.sum.b"));
    eden_file_close(file);
}

static void test_same_bytes(void **state)
{
    eden_writer *w = NULL;
    eden_error e = { 0, "" };
    size_t n, m;
    const uint64_t three = 3;
    (void)state;
    for (int order = 0; order < 2; order++) {
        ok(eden_writer_create(&w, &e), &e);
        for (int k = 0; k < 2; k++) {
            ok(eden_writer_tensor(w, k == order ? "x" : "y", "U8", 1, &three, bytes, &e), &e);
            ok(eden_writer_text(w, k == order ? "k" : "l", "v", &e), &e);
        }
        ok(eden_writer_write(w, at(order ? "g" : "f"), &e), &e);
        ok(eden_writer_write(w, at(order ? "g" : "f"), &e), &e);
        eden_writer_destroy(w);
    }
    unsigned char *f = fetch(at("f"), &n), *g = fetch(at("g"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(f, g, n);
    assert_int_equal(f[0] % 8, 0);
    free(f);
    free(g);
}

static void test_writer_refuses(void **state)
{
    eden_writer *w = fill("x");
    eden_error e = { 0, "" };
    const uint64_t three = 3, huge[2] = { (uint64_t)1 << 62, 8 }, odd = 3;
    const uint64_t nine[9] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    char *name = malloc(65537);
    (void)state;
    assert_non_null(name);
    memset(name, 'n', 65536);
    name[65536] = 0;
#define NO(call, want) assert_int_equal(call, want)
    NO(eden_writer_tensor(w, "a", "U8", 1, &three, bytes, &e), EDEN_E_NAME);
    NO(eden_writer_tensor(w, "", "U8", 1, &three, bytes, &e), EDEN_E_NAME);
    NO(eden_writer_tensor(w, "\xff", "U8", 1, &three, bytes, &e), EDEN_E_NAME);
    NO(eden_writer_tensor(w, "__metadata__", "U8", 1, &three, bytes, &e), EDEN_E_NAME);
    NO(eden_writer_tensor(w, name, "U8", 1, &three, bytes, &e), EDEN_E_NAME);
    NO(eden_writer_tensor(w, "c", "u8", 1, &three, bytes, &e), EDEN_E_DTYPE);
    NO(eden_writer_tensor(w, "c", "U8", 9, nine, bytes, &e), EDEN_E_SHAPE);
    NO(eden_writer_tensor(w, "c", "U8", 2, huge, bytes, &e), EDEN_E_SHAPE);
    NO(eden_writer_tensor(w, "c", "F4", 1, &odd, bytes, &e), EDEN_E_SHAPE);
    NO(eden_writer_tensor(w, "c", "U8", 1, &three, NULL, &e), EDEN_E_ARGUMENT);
    NO(eden_writer_tensor(w, "c", "U8", 1, NULL, bytes, &e), EDEN_E_ARGUMENT);
    NO(eden_writer_text(w, "note", "again", &e), EDEN_E_NAME);
    NO(eden_writer_text(w, "eden.sum.x", "1", &e), EDEN_E_NAME);
    NO(eden_writer_text(w, "k", "\xc3", &e), EDEN_E_VALUE);
    NO(eden_writer_text(w, "k", NULL, &e), EDEN_E_ARGUMENT);
    NO(eden_writer_keep(w, 2, &e), EDEN_E_ARGUMENT);
    name[65535] = 0;
    ok(eden_writer_tensor(w, name, "U8", 1, &three, bytes, &e), &e);
    ok(eden_writer_write(w, at("f"), &e), &e);
    assert_string_equal(note_of(at("f")), "x");
    eden_writer_destroy(w);
    free(name);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void test_every_bit(void **state)
{
    size_t n;
    int missed = 0;
    (void)state;
    save_well(at("f"), "a", 0);
    unsigned char *good = fetch(at("f"), &n);
    FILE *f = fopen(at("f"), "r+b");
    assert_non_null(f);
    setvbuf(f, NULL, _IONBF, 0);
    for (size_t bit = 0; bit < n * 8; bit++) {
        unsigned char byte = (unsigned char)(good[bit / 8] ^ 1 << bit % 8);
        fseek(f, (long)(bit / 8), SEEK_SET);
        assert_int_equal(fwrite(&byte, 1, 1, f), 1);
        if (note_of(at("f"))) print_message("bit %zu is missed\n", bit), missed++;
        fseek(f, (long)(bit / 8), SEEK_SET);
        fwrite(&good[bit / 8], 1, 1, f);
    }
    fclose(f);
    assert_int_equal(missed, 0);
    assert_string_equal(note_of(at("f")), "a");
    free(good);
}

static void test_every_prefix(void **state)
{
    size_t n;
    (void)state;
    save_well(at("f"), "a", 0);
    unsigned char *good = fetch(at("f"), &n);
    while (n-- > 0) {
        assert_int_equal(truncate(at("f"), (off_t)n), 0);
        refuse_file(at("f"), EDEN_E_FORMAT, "");
    }
    free(good);
}

static void test_cut_while_open(void **state)
{
    unsigned char data[64];
    eden_error e = { 0, "" };
    (void)state;
    save_well(at("f"), "a", 0);
    eden_file *file = open_file(at("f"));
    assert_int_equal(truncate(at("f"), 100), 0);
    const size_t i = eden_file_find(file, "scalar");
    assert_int_equal(eden_file_read(file, i, data, 8, &e), EDEN_E_FORMAT);
    assert_non_null(strstr(e.text, "it was cut"));
    eden_file_close(file);
}

/* ---- places ------------------------------------------------------------------------------ */

static void refuse_save(const char *path, const char *part)
{
    eden_error e = { 0, "" };
    const int files = open_files(), temps = count_files(".eden-tmp");
    assert_int_equal(save(path, "new", 1, &e), EDEN_E_IO);
    if (!strstr(e.text, part)) fail_msg("'%s' does not contain '%s'", e.text, part);
    assert_int_equal(open_files(), files);
    assert_int_equal(count_files(".eden-tmp"), temps);
}

static void test_places(void **state)
{
    char name[300];
    (void)state;
    refuse_save(scratch, "it is a folder");
    refuse_save(at("no/f"), "cannot open its folder: No such file");
    refuse_save(at("no/"), "");
    refuse_save("/dev/full", "a device or a pipe");
    refuse_save("", "");
    save_well(at("f"), "old", 0);
    refuse_save(at("f/g"), "Not a directory");
    assert_int_equal(symlink("nothing", at("dangling")), 0);
    refuse_save(at("dangling"), "a symbolic link to nothing");
    memset(name, 'n', sizeof name);
    name[256] = 0;
    refuse_save(at(name), "File name too long");
    name[255] = 0;
    save_well(at(name), "long", 0);
    refuse_save(at(name), "cannot keep an older file as .old: File name too long");
    assert_string_equal(note_of(at(name)), "long");
    assert_int_equal(mkdir(at("shut"), 0500), 0);
    if (geteuid() != 0) refuse_save(at("shut/f"), "Permission denied");
    assert_int_equal(chmod(at("f"), 0400), 0);
    if (geteuid() != 0) refuse_save(at("f"), "Permission denied");
    assert_int_equal(chmod(at("f"), 0600), 0);
}

static void test_link(void **state)
{
    struct stat s;
    (void)state;
    save_well(at("real"), "old", 0);
    assert_int_equal(symlink("real", at("link")), 0);
    save_well(at("link"), "new", 0);
    assert_int_equal(lstat(at("link"), &s), 0);
    assert_true(S_ISLNK(s.st_mode));
    assert_string_equal(note_of(at("real")), "new");
}

static void test_mode_and_folder(void **state)
{
    struct stat s;
    char folder[1000];
    const mode_t mask = umask(027);
    (void)state;
    assert_non_null(getcwd(folder, sizeof folder));
    assert_int_equal(chdir(scratch), 0);
    save_well("bare", "here", 0); /* a path without a folder */
    assert_int_equal(chdir(folder), 0);
    umask(mask);
    assert_int_equal(stat(at("bare"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
}

static void test_generations(void **state)
{
    (void)state;
    save_well(at("pair"), "one", 1);
    assert_int_equal(access(at("pair.old"), F_OK), -1);
    save_well(at("pair"), "two", 1);
    save_well(at("pair"), "three", 1);
    assert_string_equal(note_of(at("pair")), "three");
    assert_string_equal(note_of(at("pair.old")), "two");
    /* What a crash between the two renames leaves: both names have one file. */
    unlink(at("pair.old"));
    assert_int_equal(link(at("pair"), at("pair.old")), 0);
    save_well(at("pair"), "four", 1);
    assert_string_equal(note_of(at("pair.old")), "three");
    save_well(at("pair"), "five", 0);
    assert_string_equal(note_of(at("pair.old")), "three");
    assert_int_equal(count_files(".eden-tmp"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_writer_refuses),  cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_every_prefix),    cmocka_unit_test(test_cut_while_open),
        cmocka_unit_test(test_places),          cmocka_unit_test(test_link),
        cmocka_unit_test(test_mode_and_folder), cmocka_unit_test(test_generations),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
