/* test_safetensors.c - what is no file, and files that change while they are read. What
 * may stand in a file is tested by test_reader.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <eden/safetensors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/scratch.h"

static void test_ranks(void **state)
{
    char header[1024] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[";
    eden_file_tensor t = EDEN_FILE_TENSOR_INIT;
    eden_error e;
    (void)state;
    for (int ndim = 1; ndim <= 65; ndim++) {
        char whole[1200];
        strcat(header, ndim > 1 ? ",1" : "1");
        const int length = snprintf(whole, sizeof whole, "%s],\"data_offsets\":[0,1]}}", header);
        store(at("s"), whole, (size_t)length, 1);
        if (ndim > 64) {
            refuse_file(at("s"), EDEN_E_FORMAT, "a shape of more than 64 dimensions");
            continue;
        }
        eden_file *file = open_file(at("s"));
        const eden_status status = eden_file_at(file, 0, &t, &e);
        assert_int_equal(status, ndim > EDEN_MAX_DIMS ? EDEN_E_FORMAT : EDEN_OK);
        if (status) assert_non_null(strstr(e.text, "tensor 'a' has"));
        if (!status) assert_int_equal(t.ndim, ndim);
        eden_file_close(file);
    }
}

static void test_kinds_of_file(void **state)
{
    (void)state;
    refuse_file(at("absent"), EDEN_E_IO, "cannot open it: No such file");
    refuse_file(at("."), EDEN_E_IO, "it is a folder");
    refuse_file("/dev/zero", EDEN_E_IO, "a device or a pipe");
    refuse_file("", EDEN_E_IO, "cannot open it");
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    refuse_file(at("fifo"), EDEN_E_IO, "a device or a pipe");
    assert_int_equal(symlink("loop", at("loop")), 0);
    refuse_file(at("loop"), EDEN_E_IO, "cannot open it");
    refuse_file("/dev/full", EDEN_E_IO, "a device or a pipe");
    refuse_file("/proc/self/stat", EDEN_E_FORMAT, "0 bytes are too short");
    refuse_file(at("fifo/x"), EDEN_E_IO, "cannot open it");
    assert_int_equal(symlink("nowhere", at("dangling")), 0);
    refuse_file(at("dangling"), EDEN_E_IO, "cannot open it: No such file");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s", at("socket"));
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    refuse_file(at("socket"), EDEN_E_IO, "cannot open it");
    close(s);
    store(at("closed"), "{}", 2, 0);
    assert_int_equal(chmod(at("closed"), 0), 0);
    if (access(at("closed"), R_OK) != 0) refuse_file(at("closed"), EDEN_E_IO, "Permission denied");
    assert_int_equal(symlink("good", at("link")), 0);
    store(at("good"), "{}", 2, 0);
    eden_file_close(open_file(at("link")));
    assert_int_equal(eden_file_open(NULL, "x", NULL), EDEN_E_ARGUMENT);
}

/* Eight terabytes of nothing, and a header length that lies: no memory is taken for it. */
static void test_sparse(void **state)
{
    (void)state;
    store_raw(at("s"), "\0\xe1\xf5\5\0\0\0\0", 8);
    if (truncate(at("s"), (off_t)1 << 43) != 0) skip();
    refuse_file(at("s"), EDEN_E_FORMAT, "must begin with '{'");
}

/* ---- a piece at a time ----------------------------------------------------------------- */

typedef struct {
    unsigned char *all;
    size_t count, pieces;
} seen;

static void see(void *context, const void *piece, size_t bytes)
{
    seen *s = context;
    assert_true(bytes > 0 && bytes <= EDEN_FILE_PIECE);
    memcpy(s->all + s->count, piece, bytes);
    s->count += bytes;
    s->pieces++;
}

/* ---- files that change ------------------------------------------------------------- */

/* Cut, grown, or another one under its name: an error or the data that was there. */
static void test_changing(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}";
    unsigned char data[8] = { 9 };
    eden_error e = { 0, "" };
    (void)state;
    store(at("s"), header, sizeof header - 1, 8);
    eden_file *file = open_file(at("s"));
    assert_int_equal(truncate(at("s"), (off_t)(8 + sizeof header - 1 + 5)), 0);
    assert_int_equal(eden_file_read(file, 0, data, 8, &e), EDEN_E_FORMAT);
    assert_non_null(strstr(e.text, "it was cut while it was being read"));
    assert_int_equal(eden_file_visit(file, 0, NULL, NULL, &e), EDEN_E_FORMAT);
    store(at("s"), header, sizeof header - 1, 8);
    assert_int_equal(truncate(at("s"), 4000), 0);
    assert_int_equal(eden_file_read(file, 0, data, 8, &e), EDEN_OK);
    assert_int_equal(data[7], 7);
    seen s = { data, 0, 0 }; /* in pieces too, without a checksum */
    memset(data, 0, sizeof data);
    assert_int_equal(eden_file_visit(file, 0, see, &s, &e), EDEN_OK);
    assert_true(s.count == 8 && data[7] == 7);
    store(at("t"), "{}", 2, 0);
    assert_int_equal(rename(at("t"), at("s")), 0);
    memset(data, 0, sizeof data);
    assert_int_equal(eden_file_read(file, 0, data, 8, &e), EDEN_OK);
    assert_int_equal(data[7], 7);
    eden_file_close(file);
}

static void test_visit(void **state)
{
    enum { BYTES = 2 * EDEN_FILE_PIECE + 40 };
    const uint64_t shape = BYTES, none = 0;
    unsigned char *data = malloc(BYTES);
    seen s = { malloc(BYTES), 0, 0 };
    eden_writer *w = NULL;
    eden_error e = { 0, "" };
    (void)state;
    for (size_t i = 0; i < BYTES; i++) data[i] = (unsigned char)(i * 7 % 251);
    assert_int_equal(eden_writer_create(&w, &e), EDEN_OK);
    assert_int_equal(eden_writer_tensor(w, "a", "U8", 1, &shape, data, &e), EDEN_OK);
    assert_int_equal(eden_writer_tensor(w, "empty", "U8", 1, &none, NULL, &e), EDEN_OK);
    assert_int_equal(eden_writer_write(w, at("v"), &e), EDEN_OK);
    eden_writer_destroy(w);

    eden_file *file = open_file(at("v"));
    const size_t a = eden_file_find(file, "a");
    assert_int_equal(eden_file_visit(file, a, see, &s, &e), EDEN_OK);
    assert_true(s.count == BYTES && s.pieces == 3 && memcmp(s.all, data, BYTES) == 0);
    assert_int_equal(eden_file_visit(file, 1 - a, see, &s, &e), EDEN_OK);
    assert_int_equal(s.pieces, 3);
    assert_int_equal(eden_file_visit(file, 2, see, &s, &e), EDEN_E_ARGUMENT);
    assert_int_equal(eden_file_visit(NULL, 0, see, &s, &e), EDEN_E_ARGUMENT);
    eden_file_close(file);

    size_t size;
    unsigned char *whole = fetch(at("v"), &size);
    whole[size - 1] ^= 1; /* in the last piece */
    store_raw(at("v"), whole, size);
    file = open_file(at("v"));
    assert_int_equal(eden_file_visit(file, a, NULL, NULL, &e), EDEN_E_FORMAT);
    assert_non_null(strstr(e.text, "tensor 'a' is damaged"));
    eden_file_close(file);
    free(whole);
    free(data);
    free(s.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),     cmocka_unit_test(test_kinds_of_file),
        cmocka_unit_test(test_sparse),    cmocka_unit_test(test_changing),
        cmocka_unit_test(test_visit),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
